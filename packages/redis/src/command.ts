import type { RedisClient, RedisCommand } from './client.ts';
import { connectionOf } from './connection.ts';

/** A part of a command as it is given; a number becomes text. */
export type CommandPart = string | number | Buffer;

/**
 * A command on its way. It has the members that `Redis` and `Cluster` of ioredis 5 and 6 and of iovalkey use of their own
 * `Command`, so that these write it to their socket as it is; the adapters of other clients read `parts` and `keys`. Replies
 * come as the server sends them, bulk strings as Buffers.
 *
 * A client's `keyPrefix` is not applied: the keys of scripts begin with their hash tag.
 */
export class Command implements RedisCommand {
  readonly name: string;
  /** What ioredis quotes in errors, traces and its debug log: nothing, since parts hold subjects. */
  readonly args: readonly string[] = [];
  readonly promise: Promise<unknown>;
  resolve!: (reply: unknown) => unknown;
  reject!: (error: Error) => unknown;
  /** ioredis' marks: whether it is part of a MULTI, and whether it was told to `diagnostics_channel`. */
  inTransaction = false;
  isTraced = false;
  readonly #parts: readonly CommandPart[];
  readonly #key: string | undefined;

  /** @param key by which a Cluster client finds the node. @default none: any node */
  constructor(name: string, parts: readonly CommandPart[], key?: string) {
    this.name = name;
    this.#parts = parts;
    this.#key = key;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** All that follows the name. */
  get parts(): readonly CommandPart[] {
    return this.#parts;
  }

  get key(): string | undefined {
    return this.#key;
  }

  toWritable(): Buffer {
    const parts = this.parts;
    let wire = `*${parts.length + 1}\r\n${encode(this.name)}`;
    for (const part of parts) wire += typeof part === 'object' ? encodeBytes(part) : encode(String(part));
    return Buffer.from(wire, 'latin1');
  }

  getKeys(): string[] {
    return this.key === undefined ? [] : [this.key];
  }

  /** The hash slot that a Cluster sends it to, null for any node. */
  getSlot(): number | null {
    return this.key === undefined ? null : hashSlot(this.key);
  }

  /** ioredis 6 says here which protocol its connection speaks. Replies are not mapped. */
  setReplyContext(): void {}

  /** Of ioredis' option `commandTimeout`. */
  setTimeout(ms: number): void {
    this.#after(ms, () => this.reject(new Error('Command timed out')));
  }

  /** Of ioredis' option `blockingTimeout`. No command of Spillway blocks. */
  setBlockingTimeout(ms: number): void {
    this.#after(ms, () => this.resolve(null));
  }

  extractBlockingTimeout(): undefined {}

  #after(ms: number, settle: () => void): void {
    const timer = setTimeout(settle, ms);
    const clear = (): void => clearTimeout(timer);
    this.promise.then(clear, clear);
  }
}

/**
 * Sends a command and gives its reply, bulk strings as Buffers. It goes past the client's methods, which with
 * `enableAutoPipelining` hold a command back and fail for one whose name is not a method.
 * @param key by which a Cluster client finds the node. @default none: any node
 * @throws whatever the client rejects with.
 */
export function call(client: RedisClient, name: string, parts: readonly CommandPart[], key?: string): Promise<unknown> {
  return send(client, new Command(name, parts, key)).catch((error: unknown) => {
    connectionOf(client).rejected(error);
    throw error;
  });
}

/** Sends a command and gives its reply. */
export function send(client: RedisClient, command: RedisCommand): Promise<unknown> {
  client.sendCommand(command);
  return command.promise;
}

/** Text as it goes over the wire, a character a byte: all ASCII is as long in bytes as in characters. */
export function encode(text: string): string {
  const length = Buffer.byteLength(text);
  return length === text.length
    ? `$${length}\r\n${text}\r\n`
    : `$${length}\r\n${Buffer.from(text).toString('latin1')}\r\n`;
}

/** Texts one after the other, each as by {@link encode}. All are mostly ASCII, which is seen by one look at them together. */
export function encodeAll(texts: readonly string[]): string {
  let wire = '';
  for (const text of texts) wire += `$${text.length}\r\n${text}\r\n`;
  return Buffer.byteLength(wire) === wire.length ? wire : texts.map(encode).join('');
}

export function encodeBytes(bytes: Buffer): string {
  return `$${bytes.length}\r\n${bytes.toString('latin1')}\r\n`;
}

/** The slot of a key, of 16,384: CRC16 (XMODEM) of its hash tag, or of all of it when it has none. */
export function hashSlot(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  const bytes = Buffer.byteLength(hashed) === hashed.length ? hashed : Buffer.from(hashed).toString('latin1');
  let crc = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    crc ^= bytes.charCodeAt(index) << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  }
  return crc & 0x3fff;
}
