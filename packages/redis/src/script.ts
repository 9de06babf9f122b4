import type { RedisClient } from './client.ts';
import { send, Command, encode, encodeAll, encodeBytes } from './command.ts';
import { connectionOf } from './connection.ts';

/** The text of a Lua script. Those of the packages are generated from the files in their folders `lua`. */
export interface LuaScript {
  readonly name: string;
  readonly source: string;
  /** The SHA-1 of the source, by which Redis knows the script. */
  readonly sha1: string;
}

/** A Lua script as a value: its text, and the decoder of its reply. */
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

/** An argument that is encoded once and sent many times. */
export class EncodedArgument {
  readonly bytes: Buffer;
  /** As it goes over the wire, a character a byte. */
  readonly wire: string;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.wire = encodeBytes(bytes);
  }
}

/** An argument of a script. */
export type ScriptArgument = string | number | EncodedArgument;

/** A script, and how it is named in a command: by its hash, or by its source. */
export interface ScriptName {
  readonly script: { readonly source: string; readonly sha1: string };
  readonly command: 'evalsha' | 'eval';
  /** The encoded name of the command and its script, the same for all calls. */
  readonly head: string;
}

const NO_PARTS: readonly never[] = [];

/**
 * EVALSHA or EVAL as a command that encodes itself: one string, one buffer. ioredis looks at each argument of its own
 * commands several times and joins a buffer from pieces when one of them is binary, which is most of what a lone call costs
 * here.
 */
class ScriptCall extends Command {
  readonly named: ScriptName;
  readonly keys: readonly string[];
  readonly arguments: readonly ScriptArgument[];

  constructor(named: ScriptName, keys: readonly string[], args: readonly ScriptArgument[]) {
    super(named.command, NO_PARTS);
    this.named = named;
    this.keys = keys;
    this.arguments = args;
  }

  override get parts(): readonly (string | Buffer)[] {
    const { script, command } = this.named;
    const args = this.arguments.map((arg) => (arg instanceof EncodedArgument ? arg.bytes : String(arg)));
    return [command === 'eval' ? script.source : script.sha1, String(this.keys.length), ...this.keys, ...args];
  }

  override get key(): string | undefined {
    return this.keys[0];
  }

  override toWritable(): Buffer {
    const { keys } = this;
    let wire = `*${3 + keys.length + this.arguments.length}\r\n${this.named.head}${encode(String(keys.length))}`;
    wire += encodeAll(keys);
    for (const arg of this.arguments) wire += arg instanceof EncodedArgument ? arg.wire : encode(String(arg));
    return Buffer.from(wire, 'latin1');
  }

  override getKeys(): string[] {
    return [...this.keys];
  }
}

/** How a script is called by its hash, or by its source. */
function scriptName(script: ScriptName['script'], command: ScriptName['command']): ScriptName {
  const text = command === 'eval' ? script.source : script.sha1;
  return { script, command, head: encode(command.toUpperCase()) + encode(text) };
}
