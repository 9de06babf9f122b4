import { createLogger, startApi } from '@spillway/api';
import { createApiKey, createPool, migrate } from '@spillway/db';
import { type PostgresServer, startPostgres } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { type ApiFault, createLimiter, httpStore, tiers } from '@spillway/limiter/http-store';
import { afterAll, beforeAll, expect, it } from 'vitest';

const redis = useRedis();
let postgres: PostgresServer;
let pool: ReturnType<typeof createPool>;

beforeAll(async () => {
  postgres = await startPostgres();
  await migrate({ connectionString: postgres.url });
  pool = createPool({ connectionString: postgres.url, onError: () => undefined });
}, 60_000);
afterAll(async () => {
  await pool.end();
  await postgres.stop();
});

it('every operation of a limiter over HTTP is one that the API has', async () => {
  const { key } = await createApiKey(pool, { name: 'edge', scopes: ['decide', 'operate'] });
  const logger = createLogger({ name: 'test', level: 'fatal' });
  const api = await startApi({ redisUrl: redis.url, pool, host: '127.0.0.1', port: 0, logger });
  const faults: ApiFault[] = [];
  const store = httpStore({ url: api.url, key, deadlineMs: 10_000, onError: (fault) => void faults.push(fault) });
  const limiter = createLimiter({ store, policies: tiers });
  try {
    expect(await limiter.consume('strict', 'ada', { cost: 4, action: 'upload' })).toMatchObject({ remaining: 6 });
    expect(await limiter.peek('strict', 'ada', { action: 'upload' })).toMatchObject({ allowed: true, remaining: 6 });
    expect(await limiter.reward('strict', 'ada', { cost: 2, action: 'upload' })).toMatchObject({ remaining: 8 });
    expect(await limiter.penalize('strict', 'ada', { cost: 3, action: 'upload' })).toMatchObject({ remaining: 5 });
    const both = [
      { policy: 'strict', subject: 'bob', cost: 10 },
      { policy: 'standard', subject: 'bob' },
    ] as const;
    expect(await limiter.consumeAll(both)).toMatchObject({ allowed: true });
    expect(await limiter.consumeAll(both)).toMatchObject({ allowed: false, refusedBy: ['strict'] });
    await limiter.reset('strict', 'bob', { why: 'a mistake' });
    expect(await limiter.consume('strict', 'bob')).toMatchObject({ remaining: 9 });
    expect(await limiter.block('strict', 'eve')).toBe(Infinity);
    expect(await limiter.consume('strict', 'eve')).toMatchObject({ allowed: false, retryAfterMs: Infinity });
    expect(await limiter.unblock('strict', 'eve', { why: 'known' })).toBe(true);
    expect(await limiter.consume('strict', 'eve')).toMatchObject({ allowed: true });
    expect(faults).toEqual([]);
  } finally {
    await limiter.close();
    await api.close(0);
  }
}, 60_000);
