import { createPool, migrate } from '@spillway/db';
import { startPostgres, startRedis } from '@spillway/local-servers';
import { outboxKeys, shardOf, shardTag } from '@spillway/redis';
import type { WorkerLogger } from '@spillway/worker';
import { Redis } from 'ioredis';

/** A Redis and a Postgres for this section alone. */
export interface Servers {
  readonly redisUrl: string;
  readonly redis: Redis;
  readonly databaseUrl: string;
  readonly pool: ReturnType<typeof createPool>;
  /** Empties both, as far as the trail is concerned. */
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts both, migrated. Redis writes its append-only file and Postgres syncs each commit: as in production. */
export async function startServers(): Promise<Servers> {
  const server = await startRedis({ appendOnly: true });
  const postgres = await startPostgres({
    durable: true,
    args: ['-c', 'max_wal_size=4GB', '-c', 'shared_buffers=256MB', '-c', 'track_commit_timestamp=on'],
  });
  await migrate({ connectionString: postgres.url });
  const pool = createPool({ connectionString: postgres.url, onError: () => {}, max: 20 });
  const redis = new Redis(server.url, { maxRetriesPerRequest: null });
  return {
    redisUrl: server.url,
    redis,
    databaseUrl: postgres.url,
    pool,
    async clear() {
      await redis.flushall();
      await pool.query('TRUNCATE rate_limits_v2, spillway.audit_gaps, spillway.audit_dead_letters');
    },
    async stop() {
      redis.disconnect();
      await pool.end();
      await postgres.stop();
      await server.stop();
    },
  };
}

const ignore = (): void => {};

/** Logs nothing: what a log costs is no part of what is measured. */
export const silent: WorkerLogger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/** Shards of the limiters that the events come from. */
export const SHARDS = 16;

/** Events that are sent before any answer is awaited. */
const CHUNK = 2_000;

/** Fills the outboxes with so many blocks, each of another subject, as the limiter's script writes them. */
export async function fillOutboxes(redis: Redis, events: number): Promise<void> {
  for (let start = 1; start <= events; start += CHUNK) {
    const pipeline = redis.pipeline();
    for (let event = start; event < Math.min(events + 1, start + CHUNK); event += 1) {
      const { shard, fields } = block(event);
      pipeline.xadd(outboxKeys(shard).stream, '*', 'e', packed(fields));
    }
    await pipeline.exec();
  }
}

/** As the limiter's script writes a block: its values without names. */
function packed(fields: readonly string[]): string {
  const values = fields.filter((_, index) => index % 2 === 1);
  return JSON.stringify(values.map((value) => (/^\d+$/u.test(value) ? Number(value) : value)));
}

/** When the outboxes' numbers began. */
const EPOCH = Date.now() - 86_400_000;

/** Names and values of a block that began now, and its shard. */
export function block(event: number): { readonly shard: number; readonly fields: readonly string[] } {
  const shard = shardOf(`user-${event}`, SHARDS);
  const now = Date.now();
  const named = {
    type: 'block',
    epoch: EPOCH,
    seq: event,
    at: now,
    key: `${shardTag(shard)}:w:generation:16:generate-content:user-${event}`,
    limit: 20,
    window: 60_000,
    count: 20,
    denied: 1,
    start: now - 30_000,
    last: now,
    until: now + 120_000,
    mode: 0,
    id_epoch: 0,
    id_seq: 0,
    id_at: now,
  };
  return { shard, fields: Object.entries(named).flatMap(([name, value]) => [name, String(value)]) };
}
