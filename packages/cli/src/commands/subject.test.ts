import { hostname } from 'node:os';
import { listChanges } from '@spillway/db';
import { createLimiter, type Limiter, type LivePolicies } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { startWorker } from '@spillway/worker';
import { expect, it, onTestFinished } from 'vitest';
import { spillway, useServers } from '../../test/spillway.ts';

const servers = useServers();
const soon = { timeout: 15_000 };
const run = (...args: string[]) => spillway(['subject', ...args], servers.env);

async function application(): Promise<Limiter & { readonly live: LivePolicies }> {
  const client = servers.redis.connect(hotPathOptions);
  await expect.poll(() => client.status, soon).toBe('ready');
  const policies = [{ name: 'uploads', limit: 10, windowMs: 60_000 }] as const;
  const limiter = createLimiter<typeof policies>({ redis: client, policies, live: true, deadlineMs: 5_000 });
  onTestFinished(() => limiter.close());
  return limiter;
}

it('blocks a subject everywhere for a time, lists it and unblocks it, and the trail says who', async () => {
  const limiter = await application();
  const blocked = await run('block', 'ip:203.0.113.7', '--for', '2h', '--why', 'spam');
  expect(blocked).toMatchObject({ code: 0, stderr: '' });
  expect(blocked.stdout).toMatch(/^Blocked ip:203\.0\.113\.7 until .*Z\. 1 limiter applies it\.\n$/);
  await expect.poll(() => limiter.consume('uploads', 'ip:203.0.113.7'), soon).toMatchObject({ reason: 'blocked' });
  const { stdout } = await run('list', '--json');
  const until: unknown = expect.stringMatching(/Z$/);
  expect(JSON.parse(stdout)).toEqual({ blocked: [{ subject: 'ip:203.0.113.7', blockedUntil: until }] });
  expect(await run('unblock', 'ip:203.0.113.7')).toMatchObject({ code: 0 });
  expect(await run('unblock', 'ip:203.0.113.7')).toMatchObject({ code: 1 });
  await expect.poll(async () => (await limiter.consume('uploads', 'ip:203.0.113.7')).allowed, soon).toBe(true);

  const { pool } = servers.postgres;
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const worker = startWorker({ redis: servers.redis.url, pool, shards: 16, logger, pump: { lingerMs: 10 } });
  onTestFinished(() => worker.close());
  const actor = expect.stringMatching(new RegExp(`^cli:.+@${hostname()}$`, 'u')) as unknown;
  const rows = async (): Promise<unknown> => (await listChanges(pool)).rows.toReversed();
  await expect.poll(rows, soon).toMatchObject([
    { actor, action: 'block_everywhere', object: 'ip:203.0.113.7', note: 'spam', before: null },
    { actor, action: 'unblock_everywhere', object: 'ip:203.0.113.7', note: null, after: null },
  ]);
}, 60_000);

it('says plainly when no limiter applies it', async () => {
  const { code, stdout } = await run('block', 'u');
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('no limiter applies it now') });
  const json = await run('block', 'u', '--json');
  expect(JSON.parse(json.stdout)).toEqual({ subject: 'u', existed: true, otherLimiters: 0, blockedUntil: null });
});

async function listed(env: Readonly<Record<string, string>>): Promise<unknown> {
  return JSON.parse((await spillway(['subject', 'list', '--json'], env)).stdout);
}

it('blocks in the namespace of the variables, and in no other', async () => {
  const env = { ...servers.env, SPILLWAY_NAMESPACE: 'staging' };
  expect(await spillway(['subject', 'block', 'ada'], env)).toMatchObject({ code: 0 });
  expect(await listed(env)).toEqual({ blocked: [{ subject: 'ada', blockedUntil: null }] });
  expect(await listed(servers.env)).toEqual({ blocked: [] });
}, 60_000);

it.each([
  [['block', 'u', '--for', '90s'], 2],
  [['block', 'u', '--for', '60d'], 2],
  [['block', ''], 2],
  [['block', 'u', '--why', 'x'.repeat(501)], 2],
])('refuses %j with the code of a wrong command line', async (args, code) => {
  expect((await run(...args)).code).toBe(code);
});

it('ends with the code of a missing server when Redis cannot be reached', async () => {
  const ended = await spillway(['subject', 'block', 'u'], { REDIS_URL: 'redis://127.0.0.1:1' });
  expect(ended).toMatchObject({ code: 5 });
});
