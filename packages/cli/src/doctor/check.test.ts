import { startRedis } from '@spillway/local-servers';
import { usePostgres } from '@spillway/local-servers/testing';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { checkPostgres } from './check-postgres.ts';
import { checkRedis } from './check-redis.ts';

const postgres = usePostgres();

const ofRedis = async (url: string): Promise<unknown> => (await checkRedis({ variable: 'REDIS_URL', url })).checks;
const ofPostgres = async (url: string): Promise<unknown> => (await checkPostgres(url, [])).checks;

it('advises to correct a URL that its server refuses, and to start a server that is away', async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const client = new Redis(redis.url);
  await client.config('SET', 'requirepass', 'secret');
  client.disconnect();
  const [refusing, away] = [expect.stringMatching(/^Correct the user/u), expect.stringMatching(/^Start /u)];
  const [redisUrl, postgresUrl] = [new URL(redis.url), new URL(postgres.url)];
  redisUrl.password = 'wrong';
  expect(await ofRedis(redisUrl.href)).toMatchObject([{ check: 'REDIS_URL reachable', advice: refusing }]);
  expect(await ofRedis('redis://127.0.0.1:1')).toMatchObject([{ status: 'fail', advice: away }]);
  postgresUrl.pathname = '/absent';
  expect(await ofPostgres(postgresUrl.href)).toMatchObject([{ check: 'DATABASE_URL reachable', advice: refusing }]);
  expect(await ofPostgres('postgres://postgres@127.0.0.1:1/x')).toMatchObject([{ status: 'fail', advice: away }]);
});
