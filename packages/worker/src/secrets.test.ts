import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startWorker } from './start-worker.ts';
import { addBlocks } from '../test/block-entries.ts';

const redis = useRedis();

/** A caller's own pino, with pino's own serializers, whose lines are kept. */
function callersLog(): { logger: ReturnType<typeof pino>; lines: string[] } {
  const lines: string[] = [];
  return { logger: pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) }), lines };
}

const neverAsked = { query: async () => Promise.reject(new Error('not asked')) };

describe('no line of a worker holds', () => {
  it('the password that Redis refuses', async () => {
    await redis.client.call('ACL', 'SETUSER', 'app', 'on', '>right', '~*', '+@all');
    onTestFinished(async () => void (await redis.client.call('ACL', 'DELUSER', 'app')));
    const { logger, lines } = callersLog();
    const url = new URL(redis.url);
    [url.username, url.password] = ['app', 'S3cretPassw0rd'];
    const worker = startWorker({ redis: url.href, pool: neverAsked, shards: 1, logger });
    onTestFinished(() => worker.close());
    await expect.poll(() => lines.join(''), { timeout: 15_000 }).toContain('WRONGPASS');
    expect(lines.join('')).not.toContain('S3cretPassw0rd');
  });

  it('a subject, when Postgres refuses its row or a statement', async () => {
    const { logger, lines } = callersLog();
    const refused = Object.assign(new Error('relation "x" does not exist'), {
      code: '42P01',
      detail: 'Failing row contains (S3cretSubject)',
      where: 'S3cretSubject',
    });
    const worker = startWorker({
      redis: redis.url,
      pool: { query: async () => Promise.reject(refused) },
      shards: 1,
      logger,
    });
    onTestFinished(() => worker.close());
    await addBlocks(redis.client, 1, 1, 1);
    await expect.poll(() => lines.join(''), { timeout: 15_000 }).toContain('a job failed');
    expect(lines.join('')).not.toContain('S3cretSubject');
  });

  it('the arguments of a command that Redis refuses', async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const { logger, lines } = callersLog();
    const worker = startWorker({ redis: server.url, pool: neverAsked, shards: 1, logger });
    onTestFinished(() => worker.close());
    const client = new Redis(server.url);
    onTestFinished(() => client.disconnect());
    await addBlocks(client, 1, 1, 1);
    await client.config('SET', 'maxmemory', '1');
    await addBlocks(client, 2, 2, 1).catch(() => {});
    await expect.poll(() => lines.join(''), { timeout: 15_000 }).toContain('OOM');
    expect(lines.join('')).not.toMatch(/subject-1|"args"/u);
  });
});
