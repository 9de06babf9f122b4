import { Redis } from 'ioredis';
import type { Effort } from '../effort.ts';
import { median } from '../quantile.ts';
import { bareScript } from './contenders/bare-script.ts';
import type { Contender } from './contenders/contender.ts';
import { expressRateLimit } from './contenders/express-rate-limit.ts';
import { honoRateLimiter } from './contenders/hono-rate-limiter.ts';
import { rateLimiterFlexible } from './contenders/rate-limiter-flexible.ts';
import { spillway } from './contenders/spillway.ts';
import { upstash } from './contenders/upstash.ts';
import { type Load, measure, type Sample } from './measure.ts';

/** A contender's median of several rounds. */
export interface Result extends Omit<Sample, 'busiestShare'> {
  readonly name: string;
  readonly algorithm: string;
}

const LOAD: Load = { inFlight: 256, subjects: 10_000, decisions: 200_000 };
const WARM_UP: Load = { ...LOAD, decisions: 50_000 };
const ROUNDS = 5;

/**
 * Decisions a second at 256 in flight over 10,000 subjects. The contenders take turns, so that a machine that slows down
 * slows them all, and each figure is the median of its rounds.
 */
export async function throughput(url: string, effort: Effort): Promise<readonly Result[]> {
  const makers = [spillway, rateLimiterFlexible, upstash, expressRateLimit, honoRateLimiter];
  const contenders = [...makers.map((make) => make(url)), bareScript(url)];
  const samples = new Map<Contender, Sample[]>(contenders.map((contender) => [contender, []]));
  const load: Load = { ...LOAD, decisions: effort.amount(LOAD.decisions) };
  const admin = new Redis(url);
  for (const contender of contenders)
    await measure(url, contender, { ...WARM_UP, decisions: effort.amount(WARM_UP.decisions) });
  for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
    for (const contender of contenders) {
      await admin.flushall();
      samples.get(contender)?.push(await measure(url, contender, load));
    }
  }
  admin.disconnect();
  for (const contender of contenders) await contender.close();
  return contenders.map((contender) => summary(contender, samples.get(contender) ?? []));
}

function summary({ name, algorithm }: Contender, samples: readonly Sample[]): Result {
  return {
    name,
    algorithm,
    decisionsPerSecond: median(samples.map(({ decisionsPerSecond }) => decisionsPerSecond)),
    clientMicros: median(samples.map(({ clientMicros }) => clientMicros)),
    redisMicros: median(samples.map(({ redisMicros }) => redisMicros)),
  };
}
