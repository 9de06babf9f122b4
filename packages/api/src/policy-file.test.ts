import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LivePolicies, livePolicies } from '@spillway/limiter';
import { findFreePort } from '@spillway/local-servers';
import { useRedis, type Program } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { expect, it, onTestFinished } from 'vitest';
import { startProgram } from '../test/start-program.ts';

const redis = useRedis();
const patience = { timeout: 30_000 };
/** A program without Postgres, which no file needs. */
async function start(
  program: 'api' | 'worker',
  file: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const urls = {
    REDIS_URL: redis.url,
    DATABASE_URL: 'postgres://127.0.0.1:1/none',
    PORT: String(await findFreePort()),
  };
  return startProgram(program, { ...urls, SPILLWAY_FILE: file, ...env });
}

async function fileOf(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-start-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'spillway.yaml');
  await writeFile(path, text);
  return path;
}

async function openLive(): Promise<LivePolicies> {
  const client = redis.connect(hotPathOptions);
  await expect.poll(() => client.status, patience).toBe('ready');
  const live = livePolicies({ redis: client, deadlineMs: 5_000 });
  onTestFinished(() => live.close());
  return live;
}

/** What waits for the trail: in the outbox, or in a job that the worker made of it. */
async function recorded(): Promise<string> {
  const outbox = await redis.client.xrange('{sw:00}:outbox', '-', '+');
  const keys = await redis.client.keys('*');
  const jobs = await Promise.all(
    keys.map(async (key) => ((await redis.client.type(key)) === 'hash' ? redis.client.hget(key, 'data') : '')),
  );
  return JSON.stringify([outbox, jobs]);
}

const policies = (limit: number): string => `policies:\n  uploads: { limit: ${limit}, windowMs: 60000 }\n`;

it.each(['api', 'worker'] as const)(
  '%s applies SPILLWAY_FILE at its start, and takes back nothing when it starts again',
  async (program) => {
    const live = await openLive();
    await live.deny('mallory');
    const limits = async (): Promise<number[]> => (await live.list()).policies.map(({ limit }) => limit);
    const file = await fileOf(policies(7));
    const first = await start(program, file);
    await expect.poll(limits, patience).toEqual([7]);
    await expect.poll(async () => (await live.list()).file?.name, patience).toBe('spillway.yaml');
    expect((await live.list()).denied).toEqual(['mallory']);
    await expect.poll(recorded, patience).toContain(`${program}:${hostname()}`);
    first.child.kill('SIGTERM');
    expect(await first.exited).toBe(0);

    // In the night somebody had to lower it.
    await live.setPolicy({ name: 'uploads', limit: 1, windowMs: 60_000 });
    const second = await start(program, file);
    await expect.poll(second.output, patience).toContain('policy file: applied before');
    expect(await limits()).toEqual([1]);

    await start(program, await fileOf(policies(9)));
    await expect.poll(limits, patience).toEqual([9]);
  },
  120_000,
);

it.each(['api', 'worker'] as const)(
  '%s ends with 1 and says where its file is wrong',
  async (program) => {
    const file = await fileOf('policies:\n  uploads: { limit: 0, windowMs: 60000 }\n');
    const { exited, output } = await start(program, file);
    expect(await exited).toBe(1);
    expect(output()).toMatch(/spillway\.yaml:2:21: policies\.uploads\.limit must be a whole number from 1 to \d+\n$/u);
  },
  60_000,
);

it('waits for Redis, and ends in its time when it never comes', async () => {
  const api = await start('api', await fileOf(policies(7)), { REDIS_URL: 'redis://127.0.0.1:1' });
  await expect.poll(api.output, patience).toContain('policy file: not applied yet');
  api.child.kill('SIGTERM');
  expect(await api.exited).toBe(0);
}, 60_000);
