import { defineScript, luaFiles, type RedisScript, type ScriptPart } from '@spillway/redis';
import type { Algorithm } from '../../types.ts';

const lua = (name: string): URL => new URL(`../../../lua/${name}`, import.meta.url);

/** What provides an algorithm to decide.lua, as `make_NAME()`: functions that are made only for who asks for them. */
const algorithms: readonly ScriptPart[] = [
  { as: 'make_log', files: [lua('sliding-log.lua'), lua('algorithms/log.lua')] },
  { as: 'make_window', files: [lua('algorithms/sliding-window.lua')] },
  { as: 'make_fixed', files: [lua('algorithms/fixed-window.lua')] },
  { as: 'make_bucket', files: [lua('algorithms/token-bucket.lua')] },
  { as: 'make_slots', files: [lua('algorithms/concurrency.lua')] },
  { as: 'make_quota', files: [lua('algorithms/quota.lua')] },
];

/** The algorithms that count, each with a script for single requests. */
export type CounterAlgorithm = Exclude<Algorithm, 'sliding-log' | 'quota'>;

/** How scripts learn the time. */
export interface ScriptClock {
  /** The Lua file that provides `clock_ms()` and `ttl_ms(ms)`. */
  readonly clock: URL;
  /** The Lua file that provides `now`, for the scripts that are called most. */
  readonly now: URL;
  /** What `ttl_ms` adds, in ms: the time to live of a new window comes from here. */
  readonly spareMs: number;
}

/** The Redis server's own clock. */
const serverClock: ScriptClock = { clock: luaFiles.clock, now: lua('now.lua'), spareMs: 0 };

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

/** Reads the scripts. Tests pass a clock that they turn by hand. */
export function limiterScripts({ clock, now, spareMs }: ScriptClock = serverClock): LimiterScripts {
  const base = [clock, luaFiles.outbox, lua('block-record.lua')];
  const log = [luaFiles.outbox, lua('block-record.lua'), lua('window.lua'), lua('sliding-log.lua')];
  const blocks = { as: 'make_blocks', files: [luaFiles.outbox, lua('block-record.lua'), lua('blocks.lua')] };
  const judging = [clock, lua('window.lua'), blocks, lua('algorithms/save.lua')];
  const rare = { as: 'rare', files: [clock, ...log, lua('decide-one-log.lua')] };
  const counters = (algorithm: CounterAlgorithm): RedisScript<Buffer> => {
    const itself = { as: 'make_algorithm', files: [lua(`algorithms/${algorithm}.lua`)] };
    const one = { as: 'rare', files: [...judging, itself, lua('judge.lua'), lua('decide-one.lua')] };
    const lean = [now, lua('counters-start.lua'), one, lua(`lean/${algorithm}.lua`)];
    return defineScript({
      name: `decide-${algorithm}`,
      files: [...lean, lua('decide-counters.lua')],
      decode: asBuffer,
    });
  };
  return {
    spareMs,
    decideLog: defineScript({ name: 'decide-log', files: [now, rare, lua('decide-log.lua')], decode: asBuffer }),
    decideLoneLog: defineScript({
      name: 'decide-lone-log',
      files: [now, rare, lua('decide-lone-log.lua')],
      decode: (reply) => (typeof reply === 'number' ? reply : asBuffer(reply)),
    }),
    decideCounters: {
      'fixed-window': counters('fixed-window'),
      'sliding-window': counters('sliding-window'),
      'token-bucket': counters('token-bucket'),
      concurrency: counters('concurrency'),
    },
    decide: defineScript({
      name: 'decide',
      files: [now, ...judging, ...algorithms, lua('algorithms/algorithms.lua'), lua('judge.lua'), lua('decide.lua')],
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
    giveBack: defineScript({ name: 'give-back', files: [clock, lua('give-back.lua')], decode: asNumber }),
    nearLimit: defineScript({ name: 'near-limit', files: [...base, lua('near-limit.lua')], decode: asNumber }),
    decisionCounts: defineScript({
      name: 'decision-counts',
      files: [clock, luaFiles.outbox, lua('decision-counts.lua')],
      decode: asNumber,
    }),
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
