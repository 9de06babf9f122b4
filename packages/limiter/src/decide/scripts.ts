import { defineScript, type LuaScript, type RedisScript } from '@spillway/redis';
import { type Algorithm, algorithmNames } from '../algorithms/registry.ts';
import * as lua from '../scripts.generated.ts';

/** The scripts for single requests under one algorithm. */
export interface SingleScripts {
  /** One request; a number is the commonest answer in short. */
  readonly lone: RedisScript<Buffer | number>;
  readonly batch: RedisScript<Buffer>;
}

/** The limiter's scripts, bound to one clock. */
export interface LimiterScripts {
  /** Added to each time to live, in ms. */
  readonly spareMs: number;
  /** Of the algorithms that have scripts for single requests. */
  readonly single: ReadonlyMap<Algorithm, SingleScripts>;
  /** Groups of requests under any algorithm. */
  readonly group: RedisScript<Buffer>;
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
  const single = (lone: LuaScript, batch: LuaScript): SingleScripts => ({
    lone: defineScript(set(lone), (reply) =>
      typeof reply === 'number' ? reply : typeof reply === 'string' ? asNumber(reply) : asBuffer(reply),
    ),
    batch: packed(batch),
  });
  const singles = algorithmNames.flatMap((name): [Algorithm, SingleScripts][] => {
    const { lone, batch } = lua.algorithmScripts[name];
    return lone === undefined || batch === undefined ? [] : [[name, single(lone, batch)]];
  });
  return {
    spareMs,
    single: new Map(singles),
    group: packed(lua.group),
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

/** ioredis' option `stringNumbers` makes text of each integer. */
function asNumber(reply: unknown): number {
  if (typeof reply === 'number') return reply;
  if (typeof reply === 'string' && /^-?\d+$/u.test(reply)) return Number(reply);
  throw new UnexpectedReplyError(`expected an integer, got ${typeof reply}`);
}
