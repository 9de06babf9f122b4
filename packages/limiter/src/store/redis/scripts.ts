import { defineScript, type LuaScript, type RedisScript } from '@spillway/redis';
import * as lua from '../../scripts.generated.ts';
import type { Algorithm } from '../../types.ts';

/** The algorithms that count, each with a script for single requests. */
export type CounterAlgorithm = Exclude<Algorithm, 'sliding-log' | 'quota'>;

/** The limiter's scripts, bound to one clock. */
export interface LimiterScripts {
  /** Added to each time to live, in ms. */
  readonly spareMs: number;
  /** Requests under a sliding log. */
  readonly decideLog: RedisScript<Buffer>;
  /** One request under a sliding log; a number is the commonest answer in short. */
  readonly decideLoneLog: RedisScript<Buffer | number>;
  /** Single requests under an algorithm that counts. */
  readonly decideCounters: Readonly<Record<CounterAlgorithm, RedisScript<Buffer>>>;
  /** Groups of requests under any algorithm. */
  readonly decide: RedisScript<Buffer>;
  readonly block: RedisScript<number>;
  readonly unblock: RedisScript<boolean>;
  readonly countDenied: RedisScript<number>;
  readonly giveBack: RedisScript<number>;
  readonly nearLimit: RedisScript<number>;
  readonly decisionCounts: RedisScript<number>;
}

/** A script answered with something else than its header promises. */
class UnexpectedReplyError extends Error {
  readonly code = 'unexpected_reply';
  override readonly name = 'UnexpectedReplyError';
}

/** How scripts learn the time. */
export interface ScriptClock {
  /** The script as it is to be sent. */
  set(script: LuaScript): LuaScript;
  /** What the clock adds to each time to live, in ms: that of a new window comes from here. */
  readonly spareMs: number;
}

const serverClock: ScriptClock = { set: (script) => script, spareMs: 0 };

/** Makes the scripts. Tests pass a clock that they turn by hand. */
export function scriptsWith({ set, spareMs }: ScriptClock): LimiterScripts {
  const packed = (script: LuaScript): RedisScript<Buffer> => defineScript(set(script), asBuffer);
  const counting = (script: LuaScript): RedisScript<number> => defineScript(set(script), asNumber);
  return {
    spareMs,
    decideLog: packed(lua.decideLog),
    decideLoneLog: defineScript(set(lua.decideLoneLog), (reply) =>
      typeof reply === 'number' ? reply : asBuffer(reply),
    ),
    decideCounters: {
      'fixed-window': packed(lua.decideFixedWindow),
      'sliding-window': packed(lua.decideSlidingWindow),
      'token-bucket': packed(lua.decideTokenBucket),
      concurrency: packed(lua.decideConcurrency),
    },
    decide: packed(lua.decide),
    block: defineScript(set(lua.block), (reply) => Number(asBuffer(reply).toString('latin1'))),
    unblock: defineScript(set(lua.block), (reply) => asNumber(reply) === 1),
    countDenied: counting(lua.countDenied),
    giveBack: counting(lua.giveBack),
    nearLimit: counting(lua.nearLimit),
    decisionCounts: counting(lua.decisionCounts),
  };
}

/** The scripts with the Redis server's own clock. */
export const limiterScripts: LimiterScripts = scriptsWith(serverClock);

function asBuffer(reply: unknown): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  throw new UnexpectedReplyError(`expected a string, got ${typeof reply}`);
}

function asNumber(reply: unknown): number {
  if (typeof reply === 'number') return reply;
  throw new UnexpectedReplyError(`expected an integer, got ${typeof reply}`);
}
