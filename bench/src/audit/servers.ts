import { createPool, migrate } from '@spillway/db';
import { startPostgres, startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';

/** A Redis and a Postgres that nobody else uses. */
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
