import { Command } from 'ioredis';

/** An argument that is encoded once and sent many times. */
export class PreparedArgument {
  /** As it goes over the wire, a character a byte. */
  readonly wire: string;

  constructor(bytes: Buffer) {
    this.wire = `$${bytes.length}\r\n${bytes.toString('latin1')}\r\n`;
  }
}

/** What a script can be given beside its keys. */
export type ScriptArgument = string | number | PreparedArgument;

const NO_ARGUMENTS: string[] = [];

/**
 * EVALSHA or EVAL as a command of ioredis that encodes itself: one string, one buffer. ioredis looks at each argument
 * several times and joins a buffer from pieces when one of them is binary, which is most of what a lone call costs here.
 * A client's `keyPrefix` is not applied: keys of scripts begin with their hash tag.
 */
export class ScriptCall extends Command {
  readonly #wire: Buffer;
  readonly #keys: readonly string[];

  /** @param head the encoded command's name and script; see {@link headOf} */
  constructor(name: 'evalsha' | 'eval', head: string, keys: readonly string[], args: readonly ScriptArgument[]) {
    super(name, NO_ARGUMENTS);
    let wire = `*${3 + keys.length + args.length}\r\n${head}${encode(String(keys.length))}`;
    for (const key of keys) wire += encode(key);
    for (const arg of args) wire += arg instanceof PreparedArgument ? arg.wire : encode(String(arg));
    this.#wire = Buffer.from(wire, 'latin1');
    this.#keys = keys;
  }

  override toWritable(): Buffer {
    return this.#wire;
  }

  override getKeys(): string[] {
    return [...this.#keys];
  }
}

/** The encoded name of the command and its script (or the script's hash), the same for all calls. */
export function headOf(name: 'evalsha' | 'eval', script: string): string {
  return encode(name.toUpperCase()) + encode(script);
}

// Text that is all ASCII is as long in bytes as in characters; other text becomes its bytes, one a character.
function encode(text: string): string {
  const length = Buffer.byteLength(text);
  return length === text.length
    ? `$${length}\r\n${text}\r\n`
    : `$${length}\r\n${Buffer.from(text).toString('latin1')}\r\n`;
}
