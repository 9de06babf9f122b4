import { setTimeout as pause } from 'node:timers/promises';
import { createLimiter, definePolicy, type Limiter } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { commandsSent } from '../redis-usage.ts';
import { type Effort, median } from '../section.ts';
import { measure } from './measure.ts';

/** How fast decisions are that this process takes by itself, and how seldom Redis is asked. */
export interface InProcess {
  readonly name: InProcessName;
  readonly subjects: number;
  readonly inFlight: number;
  readonly decisionsPerSecond: number;
  /** Commands that clients sent to Redis meanwhile, per 1,000 decisions. */
  readonly commandsPerThousand: number;
}

/** What is measured. */
interface Case {
  readonly name: InProcessName;
  readonly subjects: number;
  readonly decisions: number;
}

/** What decides: `blocked` and the two beside it refuse, the others admit. */
export type InProcessName = 'blocked' | 'rate-limiter-flexible' | 'bare map' | 'leased' | 'small leases' | 'neither';

const ROUNDS = 5;
const PAUSE_MS = 60;
/** From this on the refusals of blocked subjects have been reported: many of them would be counted as the next case's, and slow it. */
const QUIET_COMMANDS = 10;

const HOT = { limit: 100_000_000, windowMs: 60_000 } as const;
const policies = [
  definePolicy({ name: 'blocked', limit: 10, windowMs: 60_000 }),
  definePolicy({ name: 'plain', ...HOT }),
  definePolicy({ name: 'leased', ...HOT, lease: { size: 5_000, ttlMs: 5_000 } }),
  definePolicy({ name: 'small', ...HOT, lease: { size: 500, ttlMs: 5_000 } }),
] as const;

/*
 * A round must take less than a second: a loop that never waits for anything also keeps the pulses of the deny cache and the
 * socket of its subscription waiting.
 */
const cases: readonly Case[] = [
  { name: 'blocked', subjects: 1, decisions: 500_000 },
  { name: 'rate-limiter-flexible', subjects: 1, decisions: 200_000 },
  { name: 'bare map', subjects: 1, decisions: 500_000 },
  { name: 'blocked', subjects: 1_000, decisions: 200_000 },
  { name: 'rate-limiter-flexible', subjects: 1_000, decisions: 200_000 },
  { name: 'bare map', subjects: 1_000, decisions: 200_000 },
  { name: 'blocked', subjects: 100_000, decisions: 100_000 },
  { name: 'bare map', subjects: 100_000, decisions: 100_000 },
  { name: 'leased', subjects: 1, decisions: 500_000 },
  { name: 'leased', subjects: 100, decisions: 500_000 },
  { name: 'leased', subjects: 1_000, decisions: 500_000 },
  { name: 'neither', subjects: 100, decisions: 50_000 },
  { name: 'small leases', subjects: 1_000, decisions: 1_000_000 },
  { name: 'neither', subjects: 1_000, decisions: 50_000 },
];

/** One decision at a time takes a round trip each where nothing is leased, and many where few units are. */
const MOST_ALONE: Readonly<Partial<Record<InProcessName, number>>> = { neither: 10_000, 'small leases': 200_000 };

/** Each case one decision at a time and 256 in flight; speeds are medians of the rounds, in which the cases take turns. */
export async function inProcess(url: string, effort: Effort): Promise<readonly InProcess[]> {
  const client = new Redis(url, hotPathOptions);
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 10_000 });
  const admin = new Redis(url);
  await admin.flushall();
  const names = Array.from({ length: Math.max(...cases.map(({ subjects }) => subjects)) }, (_, user) => `user-${user}`);
  await blockAll(limiter, names);
  const deciders: Readonly<Record<InProcessName, Decide>> = {
    blocked: (subject) => limiter.consume('blocked', subject),
    'rate-limiter-flexible': await inMemoryBlock(admin, names.slice(0, 1_000)),
    'bare map': bareMap(names),
    leased: (subject) => limiter.consume('leased', subject),
    'small leases': (subject) => limiter.consume('small', subject),
    neither: (subject) => limiter.consume('plain', subject),
  };
  const runs = cases.flatMap((one) => [
    { ...one, inFlight: 1, decisions: MOST_ALONE[one.name] ?? one.decisions },
    { ...one, inFlight: 256 },
  ]);
  const speeds = runs.map((): number[] => []);
  // Leases outlive a round: only the sum over all rounds says how many calls they took.
  const commands = runs.map(() => 0);
  const rounds = effort.rounds(ROUNDS);
  for (let round = 0; round <= rounds; round += 1) {
    for (const [place, { name, subjects, inFlight, decisions }] of runs.entries()) {
      const before = await commandsSent(admin);
      const decide = deciders[name];
      const { decisionsPerSecond } = await measure(url, { decide }, { inFlight, subjects, decisions });
      const sent = (await commandsSent(admin)) - before;
      // The first round is for warming up.
      if (round > 0) speeds[place]?.push(decisionsPerSecond);
      if (round > 0) commands[place] = (commands[place] ?? 0) + sent / (decisions / 1_000) / rounds;
      // Pulses are heard between the rounds at the latest: a loop that never waits for anything starves them.
      if (name === 'blocked') await untilQuiet(admin);
      else await pause(PAUSE_MS);
    }
  }
  await limiter.close();
  client.disconnect();
  admin.disconnect();
  return runs.map(({ name, subjects, inFlight }, place) => ({
    name,
    subjects,
    inFlight,
    decisionsPerSecond: median(speeds[place] ?? []),
    commandsPerThousand: commands[place] ?? Number.NaN,
  }));
}

/** Reports go one call after the other, each second those of the last one. */
async function untilQuiet(admin: Redis): Promise<void> {
  for (let quiet = 0; quiet < 15;) {
    const before = await commandsSent(admin);
    await pause(100);
    quiet = (await commandsSent(admin)) - before > QUIET_COMMANDS ? 0 : quiet + 1;
  }
}

const HOUR_MS = 3_600_000;
const AT_ONCE = 1_000;

/** Decides a subject. */
export type Decide = (subject: string) => Promise<unknown>;

/** Blocks the subjects, and asks until the refusals come from this process. */
export async function blockAll(limiter: Limiter<'blocked'>, names: readonly string[]): Promise<void> {
  const forEach = async (work: (subject: string) => Promise<unknown>): Promise<void> => {
    for (let from = 0; from < names.length; from += AT_ONCE) {
      await Promise.all(names.slice(from, from + AT_ONCE).map(work));
      // The pulses that say that messages arrive are heard in between.
      await pause(0);
    }
  };
  await forEach((subject) => limiter.block('blocked', subject, { durationMs: HOUR_MS }));
  for (let attempt = 0; attempt < 20; attempt += 1) {
    await forEach((subject) => limiter.consume('blocked', subject));
    await pause(PAUSE_MS);
  }
}

/** rate-limiter-flexible with its memory of refused subjects, in which all of them are. A refusal is a rejection there. */
export async function inMemoryBlock(storeClient: Redis, names: readonly string[]): Promise<Decide> {
  const seconds = HOUR_MS / 1_000;
  const limiter = new RateLimiterRedis({
    storeClient,
    keyPrefix: 'rlf-memory',
    points: 1,
    duration: seconds,
    inMemoryBlockOnConsumed: 1,
    inMemoryBlockDuration: seconds,
  });
  const decide: Decide = (subject) => limiter.consume(subject).catch((refusal: unknown) => refusal);
  for (let attempt = 0; attempt < 3; attempt += 1) await Promise.all(names.map(decide));
  return decide;
}

/** The least that a decision in the process can be: one look into a map, and a promise. */
export function bareMap(names: readonly string[]): Decide {
  const endsAt = new Map(names.map((name) => [name, performance.now() + HOUR_MS]));
  return async (subject) => endsAt.get(subject) ?? 0;
}
