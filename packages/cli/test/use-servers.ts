import { migrate } from '@spillway/db';
import { type PostgresFixture, type RedisFixture, usePostgres, useRedis } from '@spillway/local-servers/testing';

/** A Redis, a migrated database of its own for each test, and the variables that name them. */
export interface Servers {
  readonly redis: RedisFixture;
  readonly postgres: PostgresFixture;
  readonly env: Readonly<Record<string, string>>;
}

/** Read the fields inside tests only. */
export function useServers(): Servers {
  const redis = useRedis();
  const postgres = usePostgres({
    migrate: async (url) => {
      await migrate({ connectionString: url });
    },
    template: 'cli',
    scope: 'test',
  });
  return {
    redis,
    postgres,
    get env() {
      return { REDIS_URL: redis.url, DATABASE_URL: postgres.url };
    },
  };
}
