import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { type Effort, median, quantile } from '../section.ts';
import { type Contender, expressRateLimit, honoRateLimiter, rateLimiterFlexible, upstash } from './contenders.ts';
import { type Load, measure, type Sample } from './measure.ts';
import { oneByOne } from './one-limit.ts';

/** What three limits of one subject cost, asked for in one go. */
export interface Combined {
  readonly name: string;
  /** Requests a second, of three limits each, at 256 in flight. */
  readonly perSecond: number;
  /** How long one takes when nothing else is under way, p50 in µs. */
  readonly aloneMicros: number;
  readonly clientMicros: number;
  readonly redisMicros: number;
}

interface Sampled {
  readonly contender: Contender;
  readonly many: Sample[];
  readonly alone: number[];
}

const ROUNDS = 5;
const LOAD: Load = { inFlight: 256, subjects: 10_000, decisions: 50_000 };
const WINDOWS = ['minute', 'hour', 'day'] as const;

const policies = [
  definePolicy({ name: 'minute', limit: 100, windowMs: 60_000 }),
  definePolicy({ name: 'hour', limit: 500, windowMs: 3_600_000 }),
  definePolicy({ name: 'day', limit: 1_000, windowMs: 86_400_000 }),
] as const;

/** `consumeAll` of three policies, then each peer asked three times at once: peers have no group, so a refusal by one limit has been charged by the others. */
export async function combined(url: string, effort: Effort): Promise<readonly Combined[]> {
  const peers = [rateLimiterFlexible, upstash, expressRateLimit, honoRateLimiter].map((make) => threeTimes(make(url)));
  const contenders = [together(url), ...peers];
  const admin = new Redis(url);
  const sampled = contenders.map((contender): Sampled => ({ contender, many: [], alone: [] }));
  const load: Load = { ...LOAD, decisions: effort.amount(LOAD.decisions) };
  const rounds = effort.rounds(ROUNDS);
  for (let round = 0; round <= rounds; round += 1) {
    for (const { contender, many, alone } of sampled) {
      await admin.flushall();
      const one = await measure(url, contender, load);
      const p50 = quantile(await oneByOne(contender), 0.5);
      // The first round is for warming up.
      if (round === 0) continue;
      many.push(one);
      alone.push(p50);
    }
  }
  admin.disconnect();
  for (const { close } of contenders) await close();
  return sampled.map(({ contender: { name }, many, alone }) => ({
    name,
    perSecond: median(many.map(({ decisionsPerSecond }) => decisionsPerSecond)),
    aloneMicros: median(alone),
    clientMicros: median(many.map(({ clientMicros }) => clientMicros)),
    redisMicros: median(many.map(({ redisMicros }) => redisMicros)),
  }));
}

function together(url: string): Contender {
  const client = new Redis(url, hotPathOptions);
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 60_000 });
  return {
    name: 'Spillway: `consumeAll`',
    algorithm: 'exact sliding logs',
    decide: (subject) => limiter.consumeAll(WINDOWS.map((policy) => ({ policy, subject }))),
    close: async () => {
      await limiter.close();
      client.disconnect();
    },
  };
}

function threeTimes({ name, algorithm, decide, close }: Contender): Contender {
  return {
    name: `${name}, three times`,
    algorithm,
    decide: (subject) => Promise.all(WINDOWS.map((window) => decide(`${subject} ${window}`))),
    close,
  };
}
