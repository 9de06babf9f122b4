import { createPool } from '@spillway/db';
import { startWorker } from '@spillway/worker';
import { Worker } from 'bullmq';
import { SHARDS } from './events.ts';
import { manyInserts } from './insert-many.ts';
import { insertOne } from './insert-one.ts';
import { silent } from './silent.ts';

/**
 * A process that turns events into rows: those in the outboxes (`packed`), a BullMQ job each (`single`), or in its memory (`bare`). Arguments: which,
 * Redis' URL, Postgres' URL, how many. It says `ready`, begins when it is told to, and says what it took.
 */
const [way = '', redisUrl = '', databaseUrl = '', count = ''] = process.argv.slice(2);
const events = Number(count);

/** Jobs at once where each event is a job: more than that gained nothing here. */
const JOBS_AT_ONCE = 50;

const pool = createPool({ connectionString: databaseUrl, onError: () => {}, max: way === 'single' ? 20 : 3 });

async function drainOutboxes(): Promise<void> {
  await new Promise<void>((resolve) => {
    let stored = 0;
    const metrics = {
      stored({ written }: { readonly written: number }): void {
        stored += written;
        if (stored >= events) resolve();
      },
    };
    startWorker({
      redis: redisUrl,
      pool,
      shards: SHARDS,
      logger: silent,
      metrics,
      sink: { blockRowsPerMinute: null },
    });
  });
}

async function drainJobs(): Promise<void> {
  await new Promise<void>((resolve) => {
    let stored = 0;
    const connection = { url: redisUrl, maxRetriesPerRequest: null };
    const options = { connection, concurrency: JOBS_AT_ONCE, removeOnComplete: { count: 20 } };
    const worker = new Worker('single', async ({ data }) => insertOne(pool, data.entry), options);
    worker.on('completed', () => {
      stored += 1;
      if (stored >= events) resolve();
    });
  });
}

/** What is in memory is made ready before the clock starts. */
const ways: Readonly<Record<string, () => () => Promise<void>>> = {
  packed: () => drainOutboxes,
  single: () => drainJobs,
  bare: () => manyInserts(pool, events),
};
const drain = ways[way]?.() ?? drainOutboxes;

process.once('message', () => {
  void (async () => {
    const startedAt = performance.now();
    const cpuBefore = process.cpuUsage();
    await drain();
    const seconds = (performance.now() - startedAt) / 1_000;
    const { user, system } = process.cpuUsage(cpuBefore);
    process.send?.({ seconds, cpuMicros: user + system }, () => process.exit());
  })();
});
// The first statement pays for connecting.
await pool.query('SELECT 1');
process.send?.('ready');
