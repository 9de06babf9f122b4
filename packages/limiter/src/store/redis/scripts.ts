import { defineScript, luaFiles, type RedisScript } from '@spillway/redis';

const lua = (name: string): URL => new URL(`../../../lua/${name}`, import.meta.url);

const algorithms: readonly URL[] = [
  'algorithms',
  'log',
  'sliding-window',
  'fixed-window',
  'token-bucket',
  'concurrency',
  'quota',
].map((name) => lua(`algorithms/${name}.lua`));

/** The limiter's scripts, bound to one clock. */
export interface LimiterScripts {
  /** Requests under a sliding log. */
  readonly decideLog: RedisScript<Buffer>;
  /** Groups of requests under any algorithm. */
  readonly decide: RedisScript<Buffer>;
  readonly block: RedisScript<number>;
  readonly unblock: RedisScript<boolean>;
  readonly countDenied: RedisScript<number>;
  readonly nearLimit: RedisScript<number>;
}

/** A script answered with something else than its header promises. */
class UnexpectedReplyError extends Error {
  readonly code = 'unexpected_reply';
  override readonly name = 'UnexpectedReplyError';
}

/** Reads the scripts. `clock` is the Lua file that tells the time; tests pass one that they turn by hand. */
export function limiterScripts(clock: URL = luaFiles.clock): LimiterScripts {
  const base = [clock, luaFiles.outbox, lua('block-record.lua')];
  const log = [luaFiles.outbox, lua('block-record.lua'), lua('window.lua'), lua('sliding-log.lua')];
  const rare = { as: 'rare', files: [...log, lua('decide-one-log.lua')] };
  return {
    decideLog: defineScript({
      name: 'decide-log',
      files: [clock, lua('now.lua'), rare, lua('decide-log.lua')],
      decode: asBuffer,
    }),
    decide: defineScript({
      name: 'decide',
      files: [clock, lua('now.lua'), ...log, ...algorithms, lua('decide.lua')],
      decode: asBuffer,
    }),
    block: defineScript({
      name: 'block',
      files: [...base, lua('block.lua')],
      decode: (reply) => Number(asBuffer(reply).toString('latin1')),
    }),
    unblock: defineScript({
      name: 'unblock',
      files: [...base, lua('block.lua')],
      decode: (reply) => asNumber(reply) === 1,
    }),
    countDenied: defineScript({ name: 'count-denied', files: [...base, lua('count-denied.lua')], decode: asNumber }),
    nearLimit: defineScript({ name: 'near-limit', files: [...base, lua('near-limit.lua')], decode: asNumber }),
  };
}

function asBuffer(reply: unknown): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  throw new UnexpectedReplyError(`expected a string, got ${typeof reply}`);
}

function asNumber(reply: unknown): number {
  if (typeof reply === 'number') return reply;
  throw new UnexpectedReplyError(`expected an integer, got ${typeof reply}`);
}
