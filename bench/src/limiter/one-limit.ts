import { Redis } from 'ioredis';
import { type Effort, median, quantile } from '../section.ts';
import {
  bareScript,
  type Contender,
  expressRateLimit,
  honoRateLimiter,
  rateLimiterFlexible,
  type Rule,
  spillway,
  upstash,
} from './contenders.ts';
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

/** How long one decision takes when nothing else is under way, in µs. */
export interface Latency {
  readonly name: string;
  readonly p50Micros: number;
  readonly p99Micros: number;
}

const DECISIONS = 5_000;

/** Spillway, then a bare EVALSHA: one decision in flight, taking turns, the medians of the rounds' quantiles. */
export async function latency(url: string, effort: Effort): Promise<readonly Latency[]> {
  const contenders = [spillway(url), bareScript(url, false)];
  const rounds = new Map<Contender, (readonly number[])[]>(contenders.map((contender) => [contender, []]));
  const admin = new Redis(url);
  for (const contender of contenders) await oneByOne(contender);
  for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
    for (const contender of contenders) {
      await admin.flushall();
      rounds.get(contender)?.push(await oneByOne(contender));
    }
  }
  admin.disconnect();
  for (const contender of contenders) await contender.close();
  return contenders.map((contender) => {
    const samples = rounds.get(contender) ?? [];
    const over = (share: number): number => median(samples.map((micros) => quantile(micros, share)));
    return { name: contender.name, p50Micros: over(0.5), p99Micros: over(0.99) };
  });
}

/** How long each of 5,000 decisions takes that are asked for one by one, in µs. */
export async function oneByOne({ decide }: Pick<Contender, 'decide'>): Promise<readonly number[]> {
  const micros: number[] = [];
  for (let decision = 0; decision < DECISIONS; decision += 1) {
    const subject = `user-${decision}`;
    const startedAt = process.hrtime.bigint();
    await decide(subject);
    micros.push(Number(process.hrtime.bigint() - startedAt) / 1000);
  }
  return micros;
}

/** What a subject that has used up its limit takes in Redis. */
export interface Footprint {
  readonly name: string;
  readonly limit: number;
  /** Median over the keys, by MEMORY USAGE. */
  readonly bytesPerKey: number;
}

const MOST_SUBJECTS = 1_000;
// A long log makes each decision dear: fewer subjects keep the fill short, and all are alike.
const MOST_UNITS = 200_000;
// No exact log is longer, and a counter takes no more however far it has counted.
const MOST_UNITS_A_SUBJECT = 2_000;
const IN_FLIGHT = 100;
// Long, so that nothing leaves a window while the others fill.
const WINDOW_MS = 86_400_000;

/** Fills 1,000 subjects (200 at limit 1,000, 10 at 100,000) to the limit or 2,000 units, one at a time as in life: how a key grew decides what it takes. */
export async function memory(url: string, effort: Effort): Promise<readonly Footprint[]> {
  const footprints: Footprint[] = [];
  for (const make of [spillway, rateLimiterFlexible, upstash]) {
    for (const limit of [10, 100, 1_000, 100_000]) footprints.push(await footprint(url, make, limit, effort));
  }
  return footprints;
}

type Make = (url: string, rule: Rule) => Contender;

async function footprint(url: string, make: Make, limit: number, effort: Effort): Promise<Footprint> {
  const admin = new Redis(url);
  await admin.flushall();
  const subjects = Math.max(10, effort.amount(Math.min(MOST_SUBJECTS, MOST_UNITS / limit)));
  const contender = make(url, { limit, windowMs: WINDOW_MS });
  await fill(contender, Math.min(limit, MOST_UNITS_A_SUBJECT), subjects);
  const keys = await admin.keys('*user-*');
  if (keys.length !== subjects) throw new Error(`${contender.name} has ${keys.length} keys for ${subjects} subjects`);
  const bytes = await Promise.all(keys.map((key) => admin.memory('USAGE', key)));
  await contender.close();
  await admin.flushall();
  admin.disconnect();
  return { name: contender.name, limit, bytesPerKey: median(bytes.map((size) => size ?? Number.NaN)) };
}

async function fill({ decide }: Contender, units: number, subjects: number): Promise<void> {
  // Each loop has its own subjects, so that no two units of a subject meet in one batch.
  const loop = async (first: number): Promise<void> => {
    for (let unit = 0; unit < units; unit += 1) {
      for (let user = first; user < subjects; user += IN_FLIGHT) await decide(`user-${user}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, (_, first) => loop(first)));
}
