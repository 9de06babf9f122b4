import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createAuditQueue, startWorker } from '@spillway/worker';
import { type Effort, quantile } from '../section.ts';
import { fillOutboxes, type Servers, SHARDS, silent } from './servers.ts';

/** From the kill -9 of a worker until its jobs were completed by another. */
export interface Recovery {
  readonly kills: number;
  readonly jobs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly maxMs: number;
}

const KILLS = 8;
/** As many as there are at once: each has a quarter of the outboxes. */
const JOBS_A_KILL = 4;
const EVENTS_A_KILL = 400;
const POLL_MS = 20;

/** Kills a worker's process while it holds jobs whose inserts wait for a lock, beside a second worker that lives. */
export async function recovery(servers: Servers, effort: Effort): Promise<Recovery> {
  const kills = effort.rounds(KILLS);
  const times: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) times.push(...(await killOnce(servers, kill)));
  return {
    kills,
    jobs: times.length,
    p50Ms: quantile(times, 0.5),
    p95Ms: quantile(times, 0.95),
    maxMs: Math.max(...times),
  };
}

async function killOnce(servers: Servers, kill: number): Promise<number[]> {
  const { redis, redisUrl, pool } = servers;
  await servers.clear();
  const queue = createAuditQueue({ connection: redis, onError: () => {} });
  const blocker = await pool.connect();
  await blocker.query('BEGIN; LOCK TABLE rate_limits_v2');
  const victim = startProcess(servers);
  await fillOutboxes(redis, EVENTS_A_KILL);
  await until(async () => (await queue.getActiveCount()) === JOBS_A_KILL);
  const held = new Set((await queue.getActive()).map(({ data }) => data.outboxes[0]));
  const survivor = startWorker({
    redis: redisUrl,
    pool,
    shards: SHARDS,
    logger: silent,
    sink: { blockRowsPerMinute: null },
  });
  // The kill meets the locks at another age each time.
  await delay(3_000 + 500 * kill);
  const killedAt = Date.now();
  victim.kill('SIGKILL');
  await once(victim, 'exit');
  await blocker.query('ROLLBACK');
  blocker.release();
  // The same outboxes have new jobs then.
  const finished = async (): Promise<number[]> => {
    const ends = new Map<number | undefined, number>();
    for (const { data, finishedOn = Number.NaN } of await queue.getCompleted()) {
      const [outbox] = data.outboxes;
      const end = Math.min(finishedOn, ends.get(outbox) ?? Infinity);
      if (held.has(outbox) && finishedOn > killedAt) ends.set(outbox, end);
    }
    return Array.from(ends.values(), (end) => end - killedAt);
  };
  await until(async () => (await finished()).length === JOBS_A_KILL);
  const times = await finished();
  await survivor.close();
  await queue.close();
  return times;
}

function startProcess({ redisUrl, databaseUrl }: Servers): ChildProcess {
  const main = fileURLToPath(new URL('../../../packages/worker/dist/main.js', import.meta.url));
  return spawn(process.execPath, [main], {
    env: {
      PATH: process.env['PATH'],
      REDIS_URL: redisUrl,
      DATABASE_URL: databaseUrl,
      SPILLWAY_SINK_CONCURRENCY: String(JOBS_A_KILL),
      SPILLWAY_BLOCK_ROWS_PER_MINUTE: '0',
      LOG_LEVEL: 'silent',
    },
    stdio: 'inherit',
  });
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await delay(POLL_MS);
}
