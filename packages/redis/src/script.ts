import type { RedisClient } from './client.ts';
import { send } from './command.ts';
import { connectionOf } from './connection.ts';
import { type ScriptArgument, ScriptCall, scriptName } from './script-call.ts';

/** The text of a Lua script. Those of the packages are generated from the files in their folders `lua`. */
export interface LuaScript {
  readonly name: string;
  readonly source: string;
  /** The SHA-1 of the source, by which Redis knows the script. */
  readonly sha1: string;
}

/** A Lua script as a value: its text, and how its reply reads. */
export interface RedisScript<Reply> extends LuaScript {
  /**
   * Runs the script by its hash, and by its source only when Redis answers NOSCRIPT: a script that may have run is
   * never sent twice.
   * @throws whatever the client rejects with, and what `decode` throws on a reply of another shape.
   */
  run(client: RedisClient, keys: readonly string[], args: readonly ScriptArgument[]): Promise<Reply>;
}

/** Makes a script that can be run. `decode` turns the raw reply (bulk strings as Buffers) into the script's result. */
export function defineScript<Reply>(
  { name, source, sha1 }: LuaScript,
  decode: (reply: unknown) => Reply,
): RedisScript<Reply> {
  const byHash = scriptName({ source, sha1 }, 'evalsha');
  return {
    name,
    source,
    sha1,
    run(client, keys, args) {
      const rejected = (error: unknown): never => {
        connectionOf(client).rejected(error);
        throw error;
      };
      return send(client, new ScriptCall(byHash, keys, args)).then(decode, (error: unknown) => {
        if (!isNoScript(error)) return rejected(error);
        return send(client, new ScriptCall(scriptName(byHash.script, 'eval'), keys, args)).then(decode, rejected);
      });
    },
  };
}

function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
