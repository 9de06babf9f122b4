import { createApiKey, createPool } from '@spillway/db';
import { useRedis } from '@spillway/local-servers/testing';
import { startWorker } from '@spillway/worker';
import { afterEach, beforeEach, onTestFinished } from 'vitest';
import type { Scope } from '../src/openapi/api-app.ts';
import { type Api, startApi } from '../src/start-api.ts';
import { memoryLog, useMigratedDatabase } from './use-api.ts';

/** An API on a Redis and a database of its own. */
interface StartedApi {
  readonly url: string;
  readonly pool: ReturnType<typeof createPool>;
  readonly redis: ReturnType<typeof useRedis>;
  /** Of a new key with these scopes. */
  newKey(...scopes: Scope[]): Promise<{ readonly key: string; readonly id: string }>;
  /** Lets a worker store what happens, until the test is over. */
  startWorker(): void;
}

/** Gives each test of the file a started API. Read the fields inside tests only. */
export function useStartedApi(): StartedApi {
  const redis = useRedis();
  const postgres = useMigratedDatabase();
  const { logger } = memoryLog();
  let current: { readonly api: Api; readonly pool: StartedApi['pool'] } | undefined;
  beforeEach(async () => {
    const pool = createPool({ connectionString: postgres.url, onError: () => undefined });
    current = { pool, api: await startApi({ redisUrl: redis.url, pool, host: '127.0.0.1', port: 0, logger }) };
  });
  afterEach(async () => {
    await current?.api.close(0);
    await current?.pool.end();
  });
  const present = (): NonNullable<typeof current> => {
    if (current === undefined) throw new Error('Only inside a test');
    return current;
  };
  return {
    redis,
    get url() {
      return present().api.url;
    },
    get pool() {
      return present().pool;
    },
    newKey: async (...scopes) => {
      const { key, row } = await createApiKey(present().pool, { name: scopes.join(), scopes });
      return { key, id: row.id };
    },
    startWorker: () => {
      const { pool } = present();
      const worker = startWorker({ redis: redis.url, pool, shards: 16, logger, pump: { lingerMs: 20 } });
      onTestFinished(() => worker.close());
    },
  };
}
