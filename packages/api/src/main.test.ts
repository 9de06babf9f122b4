import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { migrate } from '@spillway/db';
import { startPgBouncer } from '@spillway/embedded';
import { usePostgres, useRedis } from '@spillway/embedded/testing';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { serve } from './serve.ts';

const redis = useRedis();
const postgres = usePostgres({
  template: 'spillway_db',
  migrate: async (connectionString) => void (await migrate({ connectionString })),
});
const main = fileURLToPath(new URL('main.ts', import.meta.url));

const children = new Set<ChildProcess>();
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
});

/** Runs the real process; every variable that matters is set by the test. */
function run(env: Record<string, string>): { output(): string; exited: Promise<number | null>; stop(): void } {
  const child = spawn(process.execPath, ['--conditions=@spillway/source', '--import', 'tsx', main], {
    env: { PATH: process.env['PATH'], REDIS_URL: redis.url, DATABASE_URL: postgres.url, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  const exited = once(child, 'close').then(() => child.exitCode);
  return { output: () => output, exited, stop: () => child.kill('SIGTERM') };
}

async function freePort(): Promise<number> {
  const server = await serve({ fetch: () => new Response(), host: '127.0.0.1', port: 0 });
  await server.close(0);
  return server.port;
}

it('becomes ready, and ends with 0 on SIGTERM', async () => {
  const port = await freePort();
  const api = run({ PORT: String(port) });
  await vi.waitUntil(() => /api: listening|Error/.test(api.output()), { timeout: 20_000 });
  expect(api.output()).toContain('api: listening');
  await expect.poll(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  api.stop();
  expect(await api.exited).toBe(0);
});

it('becomes ready through a PgBouncer in transaction mode when it is told of one', async () => {
  const pooler = await startPgBouncer({ databaseUrl: postgres.url });
  onTestFinished(() => pooler.stop());
  const port = await freePort();
  run({ PORT: String(port), DATABASE_URL: pooler.url, DATABASE_SERVER: 'pgbouncer' });
  const ready = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
  await expect.poll(async () => ready().catch(() => 0), { timeout: 20_000 }).toBe(200);
});

it('ends with 1 and names the variable that is wrong', async () => {
  const api = run({ PORT: 'http' });
  expect(await api.exited).toBe(1);
  expect(api.output()).toBe('PORT must be a whole number from 1 to 65535, got "http"\n');
});

it('ends with 1 and names PORT when the port is taken', async () => {
  const other = await serve({ fetch: () => new Response(), host: '127.0.0.1', port: 0 });
  const api = run({ PORT: String(other.port) });
  expect(await api.exited).toBe(1);
  expect(api.output()).toContain(`PORT ${other.port} is taken`);
  await other.close(0);
});
