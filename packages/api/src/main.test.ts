import { migrate } from '@spillway/db';
import { findFreePort, startPgBouncer } from '@spillway/local-servers';
import { usePostgres, useRedis, type Program } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished, vi } from 'vitest';
import { serve } from './serve.ts';
import { startProgram } from '../test/start-program.ts';

const redis = useRedis();
const postgres = usePostgres({
  template: 'spillway_db',
  migrate: async (connectionString) => void (await migrate({ connectionString })),
});
/** Runs the real process; every variable that matters is set by the test. */
const run = (env: Readonly<Record<string, string>>): Program =>
  startProgram('api', { REDIS_URL: redis.url, DATABASE_URL: postgres.url, ...env });

it('becomes ready, and ends with 0 on SIGTERM', async () => {
  const port = await findFreePort();
  const api = run({ PORT: String(port) });
  await vi.waitUntil(() => /api: listening|Error/.test(api.output()), { timeout: 20_000 });
  expect(api.output()).toContain('api: listening');
  await expect.poll(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  api.child.kill('SIGTERM');
  expect(await api.exited).toBe(0);
});

it('becomes ready through a PgBouncer in transaction mode when it is told of one', async () => {
  const pooler = await startPgBouncer({ databaseUrl: postgres.url });
  onTestFinished(() => pooler.stop());
  const port = await findFreePort();
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
