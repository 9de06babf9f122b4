import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RedisClient } from './client.ts';
import { headOf, type ScriptArgument, ScriptCall } from './script-call.ts';

/** A Lua script as a value: what it is called, its source, and how its reply reads. */
export interface RedisScript<Reply> {
  readonly name: string;
  readonly source: string;
  readonly sha1: string;
  /**
   * Runs the script by its hash, and by its source only when Redis answers NOSCRIPT: a script that may have run is
   * never sent twice.
   * @throws whatever the client rejects with, and what `decode` throws on a reply of another shape.
   */
  run(client: RedisClient, keys: readonly string[], args: readonly ScriptArgument[]): Promise<Reply>;
}

/**
 * A file of a script, or several that become the body of one local function: Redis makes all functions of a script anew at
 * each call, and those inside are only made once `as` is called. The last of the files returns what it gives.
 */
export type ScriptPart = URL | { readonly as: string; readonly files: readonly ScriptPart[] };

/** How to make a {@link RedisScript}. */
export interface ScriptDefinition<Reply> {
  readonly name: string;
  /** The `.lua` files that make up the script, joined in this order; earlier ones provide local functions. */
  readonly files: readonly ScriptPart[];
  /** Turns the raw reply (bulk strings as Buffers) into the script's result. */
  readonly decode: (reply: unknown) => Reply;
}

/** Reads the files once and returns the script as a value. */
export function defineScript<Reply>({ name, files, decode }: ScriptDefinition<Reply>): RedisScript<Reply> {
  const source = files.map(textOf).join('\n');
  const sha1 = createHash('sha1').update(source).digest('hex');
  const byHash = headOf('evalsha', sha1);
  return {
    name,
    source,
    sha1,
    run(client, keys, args) {
      return send(client, new ScriptCall('evalsha', byHash, keys, args)).then(decode, (error: unknown) => {
        if (!isNoScript(error)) throw error;
        return send(client, new ScriptCall('eval', headOf('eval', source), keys, args)).then(decode);
      });
    },
  };
}

function send(client: RedisClient, call: ScriptCall): Promise<unknown> {
  client.sendCommand(call);
  return call.promise;
}

function textOf(part: ScriptPart): string {
  if (part instanceof URL) return readFileSync(part, 'utf8');
  return `local function ${part.as}()\n${part.files.map(textOf).join('\n')}\nend`;
}

function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

/** The Lua files of this package that other packages' scripts are built on. */
export const luaFiles: { readonly clock: URL; readonly outbox: URL } = {
  clock: new URL('../lua/clock.lua', import.meta.url),
  outbox: new URL('../lua/outbox.lua', import.meta.url),
};
