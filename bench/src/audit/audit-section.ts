import { setTimeout as delay } from 'node:timers/promises';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { startWorker } from '@spillway/worker';
import { Redis } from 'ioredis';
import { type Effort, type Findings, type Goal, quantile, type Section, type Table } from '../section.ts';
import { fullOutbox, type OutboxCost } from './full-outbox.ts';
import { type Recovery, recovery } from './recovery.ts';
import { type Servers, SHARDS, silent, startServers } from './servers.ts';
import { type Throughput, throughput } from './throughput.ts';

/** The way from a block in Redis to its row in Postgres. */
export const auditSection: Section = {
  name: 'audit',
  title: 'Audit trail',
  async measure(effort): Promise<Findings> {
    const servers = await startServers();
    try {
      const drained = await throughput(servers, effort);
      const behind = await lag(servers, effort);
      const costs = await fullOutbox(servers, effort);
      const recovered = await recovery(servers, effort);
      return {
        goals: [...throughputGoals(drained), ...lagGoals(behind), ...outboxGoals(costs), ...recoveryGoals(recovered)],
        tables: [throughputTable(drained), lagTable(behind), outboxTable(costs), recoveryTable(recovered)],
      };
    } finally {
      await servers.stop();
    }
  },
};

function throughputGoals([own, single, bare]: readonly Throughput[]): readonly Goal[] {
  if (own === undefined || single === undefined || bare === undefined) return [];
  const common = { better: 'more', noise: 0.2 } as const;
  return [
    // 100,000 are asked where bare inserts give 120,000, which the share below says; this one tells a machine's own loss.
    { name: 'outbox to rows', measured: own.eventsPerSecond, bound: 50_000, unit: '/s', ...common },
    {
      name: 'outbox to rows, against one job an event',
      measured: own.eventsPerSecond / single.eventsPerSecond,
      bound: 10,
      unit: '×',
      ...common,
    },
    {
      name: 'outbox to rows, against bare inserts of 500 rows',
      measured: (100 * own.eventsPerSecond) / bare.eventsPerSecond,
      bound: 80,
      unit: '%',
      ...common,
    },
  ];
}

function lagGoals({ p99Ms }: Lag): readonly Goal[] {
  return [
    {
      name: 'block to row at 1,000 blocks/s, p99',
      measured: p99Ms,
      bound: 60,
      better: 'less',
      unit: 'ms',
      noise: 0.3,
    },
  ];
}

function outboxGoals([room, full]: readonly OutboxCost[]): readonly Goal[] {
  if (room === undefined || full === undefined) return [];
  return [
    {
      name: 'blocking with a full outbox, p50 against one with room',
      measured: full.p50Ms / room.p50Ms,
      bound: 1.1,
      better: 'less',
      unit: '×',
    },
  ];
}

function recoveryGoals({ p95Ms }: Recovery): readonly Goal[] {
  return [
    { name: 'jobs of a killed worker, p95', measured: p95Ms / 1_000, bound: 15, better: 'less', unit: 's', noise: 0.3 },
  ];
}

function throughputTable(results: readonly Throughput[]): Table {
  const first = results[0]?.eventsPerSecond ?? Number.NaN;
  return {
    title: 'From outbox to rows',
    intro: `A backlog is drained by one worker's process, on the same two cores as Redis (append-only file, synced every second)
and Postgres (fsync at each commit). Medians of three rounds that take turns.`,
    columns: [
      { heading: 'way' },
      { heading: 'events', digits: 0 },
      { heading: 'events/s', digits: 0 },
      { heading: 'worker CPU µs', digits: 1 },
      { heading: 'Spillway is', digits: 1, unit: '×' },
    ],
    rows: results.map(({ name, events, eventsPerSecond, workerMicros }) => [
      name,
      events,
      Math.round(eventsPerSecond),
      workerMicros,
      first / eventsPerSecond,
    ]),
    chart: { label: 0, value: 2 },
    notes: `The other way has its jobs in the queue when the clock starts, 50 of them at once, and writes one row a statement
into the same table. Bare inserts are what Postgres can do at all here: rows that lie ready in memory, nothing to read, to merge or to
find twice.`,
  };
}

function lagTable({ blocksPerSecond, blocks, p50Ms, p99Ms, maxMs }: Lag): Table {
  return {
    title: 'Lag',
    intro: `A limiter blocks new subjects at a steady rate while a worker with default options runs in the same process. The time
is from the block by Redis' clock to the commit of its row by Postgres'.`,
    columns: [
      { heading: 'blocks/s', digits: 0 },
      { heading: 'blocks', digits: 0 },
      { heading: 'p50 ms', digits: 0 },
      { heading: 'p99 ms', digits: 0 },
      { heading: 'longest ms', digits: 0 },
    ],
    rows: [[blocksPerSecond, blocks, p50Ms, p99Ms, maxMs]],
  };
}

function outboxTable(costs: readonly OutboxCost[]): Table {
  return {
    title: 'A full outbox',
    intro: `What blocking 20,000 subjects costs the application, 64 in flight, no worker running. Medians of three rounds that take
turns. A full outbox drops events and counts them; the application waits for nobody and keeps nothing.`,
    columns: [
      { heading: 'outbox' },
      { heading: 'p50 ms', digits: 2 },
      { heading: 'p99 ms', digits: 2 },
      { heading: 'heap MB', digits: 1 },
      { heading: 'events dropped', digits: 0 },
    ],
    rows: costs.map(({ name, p50Ms, p99Ms, heapMb, dropped }) => [name, p50Ms, p99Ms, heapMb, dropped]),
  };
}

function recoveryTable({ kills, jobs, p50Ms, p95Ms, maxMs }: Recovery): Table {
  return {
    title: 'Recovery',
    intro: `A worker's process is killed with SIGKILL while it holds all four jobs; another one lives. The time is from the kill to the
completion of each job by the other.`,
    columns: [
      { heading: 'kills', digits: 0 },
      { heading: 'jobs', digits: 0 },
      { heading: 'p50 s', digits: 1 },
      { heading: 'p95 s', digits: 1 },
      { heading: 'longest s', digits: 1 },
    ],
    rows: [[kills, jobs, p50Ms / 1_000, p95Ms / 1_000, maxMs / 1_000]],
  };
}

/** How long after its block a row could be read. */
export interface Lag {
  readonly blocksPerSecond: number;
  readonly blocks: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const BLOCKS_PER_SECOND = 1_000;
const SECONDS = 10;
const TICK_MS = 10;

/** Blocks a thousand subjects a second through the limiter while a worker runs; Postgres knows when each row was committed. */
async function lag({ redisUrl, pool, clear }: Servers, effort: Effort): Promise<Lag> {
  await clear();
  const client = new Redis(redisUrl, hotPathOptions);
  const policy = definePolicy({ name: 'lag', limit: 1, windowMs: 3_600_000, blockMs: 3_600_000 });
  const limiter = createLimiter({ redis: client, policies: [policy], shards: SHARDS, deadlineMs: 5_000 });
  const worker = startWorker({
    redis: redisUrl,
    pool,
    shards: SHARDS,
    logger: silent,
    sink: { blockRowsPerMinute: null },
  });
  await limiter.consume('lag', 'warm-up');

  const blocks = BLOCKS_PER_SECOND * effort.amount(SECONDS);
  const startedAt = performance.now();
  const pending: Promise<unknown>[] = [];
  for (let user = 0; user < blocks;) {
    const due = Math.min(blocks, ((performance.now() - startedAt) * BLOCKS_PER_SECOND) / 1_000);
    for (; user < due; user += 1)
      pending.push(limiter.consume('lag', `user-${user}`), limiter.consume('lag', `user-${user}`));
    await delay(TICK_MS);
  }
  await Promise.all(pending);
  const lags = await committed(pool, blocks);
  await worker.close();
  await limiter.close();
  client.disconnect();
  return {
    blocksPerSecond: BLOCKS_PER_SECOND,
    blocks,
    p50Ms: quantile(lags, 0.5),
    p99Ms: quantile(lags, 0.99),
    maxMs: Math.max(...lags),
  };
}

async function committed(pool: Servers['pool'], blocks: number): Promise<number[]> {
  for (;;) {
    const { rows } = await pool.query<{ lag: number }>(
      `SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin) - created_at) * 1000)::float8 AS lag FROM rate_limits_v2`,
    );
    if (rows.length >= blocks) return rows.map((row) => row.lag);
    await delay(500);
  }
}
