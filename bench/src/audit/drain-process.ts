import { createPool, type Queryable } from '@spillway/db';
import { type AuditEntry, startWorker } from '@spillway/worker';
import { Worker } from 'bullmq';
import { block, SHARDS, silent } from './servers.ts';

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

/** Rows a statement: as many as the worker's own writes usually have. */
const ROWS = 500;

const INSERT = `INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
   window_start, last_request_at, blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at, updated_at)
 SELECT gen_random_uuid(), key, 'generation', 'generate-content', identifier, 20, 60000, 20, 1,
   at - interval '30 seconds', at, at + interval '2 minutes', 'enforce', shard, epoch, seq, at, at
 FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::timestamptz[])
   AS rows (key, identifier, shard, epoch, seq, at)`;

/** What Postgres does alone: makes the rows of so many events ready, and returns what inserts them, over three connections. */
function manyInserts(db: Queryable, many: number): () => Promise<void> {
  const batches = Array.from({ length: Math.ceil(many / ROWS) }, (_, batch) =>
    columns(batch * ROWS + 1, Math.min(many, (batch + 1) * ROWS)),
  );
  return async () => {
    await Promise.all(Array.from({ length: 3 }, async () => insertAll(db, batches)));
  };
}

async function insertAll(db: Queryable, batches: unknown[][][]): Promise<void> {
  for (let batch = batches.pop(); batch !== undefined; batch = batches.pop()) await db.query(INSERT, batch);
}

function columns(first: number, last: number): unknown[][] {
  const rows = Array.from({ length: last - first + 1 }, (_, index) => block(first + index));
  const values = (name: string): string[] => rows.map(({ fields }) => fields[fields.indexOf(name) + 1] ?? '');
  const keys = values('key');
  return [
    keys,
    keys.map((key) => key.split(':').at(-1)),
    rows.map(({ shard }) => shard),
    values('epoch'),
    values('seq'),
    values('at').map((at) => new Date(Number(at))),
  ];
}

/** What a service without batches writes: one row, one statement, one commit. */
async function insertOne(db: Queryable, [shard, , fields]: AuditEntry): Promise<void> {
  const value = (name: string): string => fields[fields.indexOf(name) + 1] ?? '';
  const ms = (name: string): Date => new Date(Number(value(name)));
  await db.query(
    `INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
       window_start, last_request_at, blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at, updated_at)
     VALUES (gen_random_uuid(), $1, 'generation', 'generate-content', $2, $3, $4, $5, $6, $7, $8, $9, 'enforce', $10, $11,
       $12, $13, $13) ON CONFLICT DO NOTHING`,
    [
      value('key'),
      value('key').split(':').at(-1),
      ...['limit', 'window', 'count', 'denied'].map(value),
      ...['start', 'last', 'until'].map(ms),
      shard,
      value('epoch'),
      value('seq'),
      ms('at'),
    ],
  );
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
