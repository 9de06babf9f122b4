import { setTimeout as pause } from 'node:timers/promises';
import { createLimiter, definePolicy, type Limiter } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { median } from '../quantile.ts';
import { measure } from './measure.ts';

/** How fast decisions are that this process takes by itself, and how seldom Redis is asked. */
export interface InProcess {
  readonly name: string;
  readonly subjects: number;
  readonly inFlight: number;
  readonly decisionsPerSecond: number;
  /** Commands that clients sent to Redis meanwhile, per 1,000 decisions. */
  readonly commandsPerThousand: number;
}

/** What is measured. */
interface Case {
  readonly name: string;
  readonly policy: Name;
  readonly subjects: number;
  readonly decisions: number;
}

const ROUNDS = 5;
const HOUR_MS = 3_600_000;
const PAUSE_MS = 60;

const HOT = { limit: 100_000_000, windowMs: 60_000 } as const;
const policies = [
  definePolicy({ name: 'blocked', limit: 10, windowMs: 60_000 }),
  definePolicy({ name: 'plain', ...HOT }),
  definePolicy({ name: 'leased', ...HOT, lease: { size: 5_000, ttlMs: 5_000 } }),
] as const;

type Name = (typeof policies)[number]['name'];

/*
 * A round must take less than a second: a loop that never waits for anything also keeps the pulses of the deny cache and the
 * socket of its subscription waiting.
 */
const cases: readonly Case[] = [
  { name: 'blocked', policy: 'blocked', subjects: 1, decisions: 500_000 },
  { name: 'blocked', policy: 'blocked', subjects: 1_000, decisions: 200_000 },
  { name: 'leased', policy: 'leased', subjects: 1, decisions: 500_000 },
  { name: 'leased', policy: 'leased', subjects: 100, decisions: 500_000 },
  { name: 'neither', policy: 'plain', subjects: 100, decisions: 100_000 },
];

/** Each case one decision at a time and 256 in flight; medians of the rounds, in which the cases take turns. */
export async function inProcess(url: string): Promise<readonly InProcess[]> {
  const client = new Redis(url, hotPathOptions);
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 10_000 });
  const admin = new Redis(url);
  await admin.flushall();
  await blockAll(limiter, Math.max(...cases.map(({ subjects }) => subjects)));
  const runs = cases.flatMap((one) => [
    { ...one, inFlight: 1 },
    { ...one, inFlight: 256 },
  ]);
  const speeds = runs.map((): number[] => []);
  const commands = runs.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [place, { policy, subjects, inFlight, decisions }] of runs.entries()) {
      const before = await commandsSeen(admin);
      const contender = {
        name: policy,
        algorithm: 'none',
        decide: (subject: string) => limiter.consume(policy, subject),
        close: async () => undefined,
      };
      const { decisionsPerSecond } = await measure(url, contender, { inFlight, subjects, decisions });
      const sent = (await commandsSeen(admin)) - before;
      // The first round is for warming up.
      if (round > 0) speeds[place]?.push(decisionsPerSecond);
      if (round > 0) commands[place]?.push(sent / (decisions / 1_000));
      // Pulses are heard between the rounds at the latest: a loop that never waits for anything starves them.
      await pause(PAUSE_MS);
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
    commandsPerThousand: median(commands[place] ?? []),
  }));
}

/** Blocks the subjects, and asks until the refusals come from this process. */
async function blockAll(limiter: Limiter<Name>, subjects: number): Promise<void> {
  const names = Array.from({ length: subjects }, (_, user) => `user-${user}`);
  await Promise.all(names.map((subject) => limiter.block('blocked', subject, { durationMs: HOUR_MS })));
  for (let attempt = 0; attempt < 20; attempt += 1) {
    await Promise.all(names.map((subject) => limiter.consume('blocked', subject)));
    await pause(PAUSE_MS);
  }
}

/** What clients sent; the commands within scripts are others. */
const SENT = ['evalsha', 'eval', 'publish', 'hget', 'hgetall'] as const;

async function commandsSeen(admin: Redis): Promise<number> {
  const stats = await admin.info('commandstats');
  return SENT.reduce(
    (sum, name) => sum + Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0),
    0,
  );
}
