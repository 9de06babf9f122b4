import { startRedis } from '@spillway/local-servers';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished, describe } from 'vitest';
import { startWorker } from './start-worker.ts';
import { usePostgres, useRedis } from '@spillway/local-servers/testing';
import { startMaintenance } from './start-maintenance.ts';
import { addBlocks } from '../test/entries.ts';
import { useMigratedPostgres, recordingLogger } from '../test/helpers.ts';

describe('an outage of Redis', () => {
  const postgres = useMigratedPostgres();

  const policies = [
    definePolicy({ name: 'open', limit: 10, windowMs: 60_000 }),
    definePolicy({ name: 'closed', limit: 10, windowMs: 60_000, onUnavailable: 'closed' }),
    definePolicy({ name: 'local', limit: 30, windowMs: 60_000, onUnavailable: 'local' }),
  ] as const;

  it(
    'an outage of Redis leaves one row for all limiters, with what they decided meanwhile',
    { timeout: 60_000 },
    async () => {
      const server = await startRedis();
      const clients = Array.from({ length: 3 }, () => new Redis(server.url, hotPathOptions));
      for (const client of clients) client.on('error', () => undefined);
      const limiters = clients.map((redis) => createLimiter({ redis, policies, deadlineMs: 1_000 }));
      const ask = async (policy: 'open' | 'closed' | 'local', times: number): Promise<number> => {
        const asked = limiters.flatMap((limiter) =>
          Array.from({ length: times }, () => limiter.consume(policy, 'ada')),
        );
        return (await Promise.all(asked)).filter(({ allowed }) => allowed).length;
      };
      // Each limiter learns of the others from the second heartbeat on.
      expect(await ask('local', 1)).toBe(3);
      const key = '{sw:00}:live:limiter';
      const observer = new Redis(server.url);
      await expect.poll(() => observer.zcard(key), { timeout: 10_000 }).toBe(3);
      const [before] = await observer
        .zrange(key, '+inf', '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES')
        .then((reply) => reply.slice(1));
      await expect.poll(() => observer.zcount(key, `(${before}`, '+inf'), { timeout: 10_000 }).toBe(3);
      observer.disconnect();

      await server.kill();
      for (const client of clients) await expect.poll(() => client.status).not.toBe('ready');
      expect(await ask('open', 5)).toBe(15);
      expect(await ask('closed', 4)).toBe(0);
      expect(await ask('local', 20)).toBe(30);
      await server.restart();

      const worker = startWorker({ redis: server.url, pool: postgres.pool, shards: 16, logger: recordingLogger() });
      const rows = async (): Promise<Record<string, unknown>[]> =>
        (await postgres.pool.query('SELECT kind, shard, from_seq, outbox_seq, detail FROM spillway.audit_gaps')).rows;
      await expect
        .poll(async () => (await rows()).map(({ detail }) => detail), { timeout: 20_000 })
        .toEqual([
          expect.objectContaining({
            instances: 3,
            decisions: { open_admitted: 15, closed_refused: 12, local_admitted: 30, local_refused: 30 },
          }),
        ]);
      expect(await rows()).toEqual([
        expect.objectContaining({ kind: 'limiter_outage', from_seq: null, outbox_seq: '1' }),
      ]);
      expect(
        (await Promise.all(limiters.map((limiter) => limiter.peek('local', 'ada')))).map(({ source }) => source),
      ).toEqual([undefined, undefined, undefined]);

      await Promise.all(limiters.map((limiter) => limiter.close()));
      for (const client of clients) client.disconnect();
      await worker.close();
      await server.stop();
    },
  );
});

describe('a database without our tables', () => {
  const redis = useRedis();
  const postgres = usePostgres({ scope: 'test' });

  it('a worker on a database that is not migrated is not ready, and says once what to do', async () => {
    const logger = recordingLogger();
    const shared = { redis: redis.url, pool: postgres.pool, shards: 1, logger };
    await addBlocks(redis.client, 1, 3, 1);
    const http = { host: '127.0.0.1', port: 0 };
    const maintenance = await startMaintenance({ ...shared, http, observeIntervalMs: 50 });
    const worker = startWorker({ ...shared, sink: { unavailableDelayMs: 20 }, pump: { lingerMs: 10 } });
    onTestFinished(async () => void (await Promise.all([worker.close(), maintenance.close()])));
    const readiness = async (): Promise<unknown> => (await fetch(`${maintenance.url}/readyz`)).json();
    const reason = 'the database is not migrated: run spillway migrate';
    await expect.poll(readiness, { timeout: 15_000 }).toMatchObject({ ready: false, reasons: [reason] });
    await expect.poll(() => logger.messages, { timeout: 15_000 }).toContain(`worker: ${reason}`);
    expect(logger.messages.filter((message) => message.includes('migrate'))).toHaveLength(1);
  });
});
