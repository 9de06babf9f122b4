import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { createLimiter, definePolicy, type Limiter } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';

const run = promisify(execFile);

/** A Redis server whose instructions are counted, by valgrind's callgrind: some fifty times slower than a free one. */
export interface CountedRedis {
  readonly client: Redis;
  /** As `7.0.15`. */
  version(): Promise<string>;
  /** How many instructions of user space the server takes for `work`. System calls count nothing. */
  count(work: () => Promise<unknown>): Promise<number>;
  stop(): Promise<void>;
}

/** @throws when `valgrind` or `redis-server` is not on the PATH. */
export async function startCountedRedis(): Promise<CountedRedis> {
  await Promise.all([run('valgrind', ['--version']), run('redis-server', ['--version'])]);
  const folder = await mkdtemp(path.join(tmpdir(), 'spillway-instructions-'));
  const socket = path.join(folder, 'redis.sock');
  const out = `--callgrind-out-file=${path.join(folder, 'out')}`;
  // One tick of the server's own work a second, so that little of it is counted.
  const server = ['redis-server', '--port', '0', '--unixsocket', socket, '--save', '', '--hz', '1'];
  const child = spawn('valgrind', ['--tool=callgrind', out, ...server], { cwd: folder, stdio: 'ignore' });
  const client = new Redis({ ...hotPathOptions, path: socket, socketTimeout: 60_000, retryStrategy: () => 200 });
  client.on('error', () => undefined);
  await new Promise<void>((resolve) => client.once('ready', resolve));
  const control = (flag: string) => run('callgrind_control', [flag, String(child.pid)]);
  return {
    client,
    version: async () => /^redis_version:(.*)$/m.exec(await client.info('server'))?.[1]?.trim() ?? 'unknown',
    async count(work) {
      await control('-z');
      await work();
      await control('-d');
      return readCount(folder);
    },
    async stop() {
      client.disconnect();
      child.kill('SIGTERM');
      await once(child, 'exit');
      await rm(folder, { recursive: true });
    },
  };
}

// Each dump is a file of its own: out.1, out.2 …
async function readCount(folder: string): Promise<number> {
  const dumps = (await readdir(folder)).filter((name) => /^out\.\d+$/.test(name));
  const last = Math.max(...dumps.map((name) => Number(name.slice(4))));
  const text = await readFile(path.join(folder, `out.${last}`), 'utf8');
  return Number(/^(?:summary|totals): (\d+)/m.exec(text)?.[1] ?? Number.NaN);
}

/** Instructions of the Redis server a decision, by case. */
export type Counts = Readonly<Record<string, number>>;

const policies = [
  definePolicy({ name: 'log', limit: 100, windowMs: 600_000 }),
  definePolicy({ name: 'full', limit: 1, windowMs: 600_000 }),
  definePolicy({ name: 'fixed', limit: 100, windowMs: 600_000, algorithm: 'fixed-window' }),
  definePolicy({ name: 'full-buckets', limit: 1, windowMs: 600_000, algorithm: 'sliding-window' }),
  definePolicy({ name: 'tokens', limit: 100, windowMs: 600_000, algorithm: 'token-bucket' }),
  definePolicy({ name: 'slots', limit: 100, windowMs: 600_000, algorithm: 'concurrency' }),
  definePolicy({ name: 'buckets', limit: 100, windowMs: 600_000, algorithm: 'sliding-window' }),
  definePolicy({ name: 'minute', limit: 200, windowMs: 1_200_000 }),
  definePolicy({ name: 'hour', limit: 400, windowMs: 2_400_000 }),
] as const;
type Name = (typeof policies)[number]['name'];
type Policies = Limiter<Name>;

/** The least that a script call costs. */
export const BARE = 'EVALSHA of return 1';

/** sha1 of `return 1`. */
const BARE_SHA = 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db';

/** Decisions in a count, and how many counts each case has: the least of them is the one that Redis' own work disturbed least. */
const COUNTED = 448;
const COUNTS = 2;
const BATCH = 64;
/** Subjects that are asked for again and again: two decisions for one are never in one batch. */
const REGULARS = 128;

interface Case {
  readonly name: string;
  /** How many decisions are asked for at once. */
  readonly together: number;
  readonly decide: (limiter: Policies, redis: Redis, index: number) => Promise<unknown>;
}

const regular = (index: number): string => `regular-${index % REGULARS}`;
const fresh = (index: number): string => `fresh-${index}`;

const allOf = (limiter: Policies, names: readonly Name[], subject: string): Promise<unknown> =>
  limiter.consumeAll(names.map((policy) => ({ policy, subject })));

const cases: readonly Case[] = [
  { name: BARE, together: 1, decide: (_, redis, index) => redis.evalsha(BARE_SHA, 1, fresh(index)) },
  ...[1, BATCH].flatMap((together): Case[] => {
    const how = together === 1 ? 'alone' : `${together} together`;
    return [
      { name: `new window, ${how}`, together, decide: (limiter, _, index) => limiter.consume('log', fresh(index)) },
      { name: `one more, ${how}`, together, decide: (limiter, _, index) => limiter.consume('log', regular(index)) },
      { name: `refused, ${how}`, together, decide: (limiter, _, index) => limiter.consume('full', regular(index)) },
      {
        name: `fixed window, ${how}`,
        together,
        decide: (limiter, _, index) => limiter.consume('fixed', regular(index)),
      },
      { name: `buckets, ${how}`, together, decide: (limiter, _, index) => limiter.consume('buckets', regular(index)) },
      {
        name: `buckets refused, ${how}`,
        together,
        decide: (limiter, _, index) => limiter.consume('full-buckets', regular(index)),
      },
      { name: `tokens, ${how}`, together, decide: (limiter, _, index) => limiter.consume('tokens', regular(index)) },
      { name: `slots, ${how}`, together, decide: (limiter, _, index) => limiter.consume('slots', regular(index)) },
    ];
  }),
  {
    name: 'three policies at once, alone',
    together: 1,
    decide: (limiter, _, index) => allOf(limiter, ['log', 'fixed', 'buckets'], regular(index)),
  },
  {
    name: 'three policies at once, refused, alone',
    together: 1,
    decide: (limiter, _, index) => allOf(limiter, ['full', 'fixed', 'buckets'], regular(index)),
  },
  {
    name: 'hierarchy of three logs, 64 together',
    together: BATCH,
    decide: (limiter, _, index) => allOf(limiter, ['log', 'minute', 'hour'], regular(index)),
  },
];

/** Counts all cases. Takes about half a minute. */
export async function countCases({ client, count }: CountedRedis): Promise<Counts> {
  await client.script('LOAD', 'return 1');
  const counts: Record<string, number> = {};
  for (const { name, together, decide } of cases) {
    await client.flushall();
    // A minute: callgrind makes a server slow, and nothing here is to be late.
    const limiter: Policies = createLimiter({ redis: client, policies, deadlineMs: 60_000 });
    const some = async (from: number, to: number): Promise<void> => {
      for (let index = from; index < to; index += together) {
        await Promise.all(Array.from({ length: together }, (_, place) => decide(limiter, client, index + place)));
      }
    };
    // The regulars have some past then, and the server's memory and tables their size.
    await some(0, 8 * REGULARS);
    const totals: number[] = [];
    for (let from = 100_000 * REGULARS; totals.length < COUNTS; from += COUNTED) {
      totals.push(await count(() => some(from, from + COUNTED)));
    }
    counts[name] = Math.round(Math.min(...totals) / COUNTED);
    await limiter.close();
  }
  return counts;
}

/** By how much a case may grow, as a share, before it counts as dearer. */
export const TOLERANCE = 0.05;

/**
 * By how much a case has grown beside the bare call, as a share. Multiples of a bare call are compared, so that another
 * build of Redis doesn't count as a change of ours; NaN when either side doesn't know the case.
 */
export function growth(name: string, before: Counts, after: Counts): number {
  const multiple = (counted: Counts): number => (counted[name] ?? Number.NaN) / (counted[BARE] ?? Number.NaN);
  return multiple(after) / multiple(before) - 1;
}
