import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createApiKey, migrate } from '@spillway/db';
import { compiled, usePostgres, useRedis } from '@spillway/local-servers/testing';
import { afterEach, expect, it } from 'vitest';
import { type CollectedSpan, type Collector, startCollector } from '../test/collector.ts';
import { repository } from '../test/deploy-files.ts';

const redis = useRedis();
const postgres = usePostgres({
  migrate: async (url) => {
    await migrate({ connectionString: url });
  },
  template: 'deploy',
});
const programs = {
  api: await compiled(new URL('../../packages/api/src/main.ts', import.meta.url)),
  worker: await compiled(new URL('../../packages/worker/src/main.ts', import.meta.url)),
};
const children: ChildProcess[] = [];
let collector: Collector | undefined;
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  collector?.close();
});

/** Starts a program of ours, as it runs in production but for the variables. */
function run(part: 'api' | 'worker', env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, [programs[part]], {
    cwd: repository,
    env: { PATH: process.env['PATH'], ...env },
    stdio: 'ignore',
  });
  children.push(child);
  return child;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

it('links the span of a decision to that of the flush within a job, over two processes and Redis', async () => {
  collector = await startCollector();
  const { spans, metrics, text } = collector;
  const shared = {
    REDIS_URL: redis.url,
    DATABASE_URL: postgres.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '50',
    OTEL_METRIC_EXPORT_INTERVAL: '200',
    OTEL_METRIC_EXPORT_TIMEOUT: '150',
  };
  const port = await freePort();
  const api = run('api', { ...shared, PORT: String(port) });
  const worker = run('worker', shared);
  const { key } = await createApiKey(postgres.pool, { name: 'test', scopes: ['decide'] });
  const consume = async (): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/limits/auth/consume`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: '{"subject":"192.0.2.77"}',
    }).catch(() => undefined);
    return response?.json();
  };
  await expect.poll(consume, { timeout: 20_000 }).toMatchObject({ allowed: false });

  const named = (name: string): CollectedSpan[] => spans.filter((span) => span.name === name);
  const decisionOf = (flush: CollectedSpan): CollectedSpan | undefined =>
    named('spillway.decide').find(({ spanId }) => flush.links?.some((link) => link.spanId === spanId));
  await expect
    .poll(() => named('spillway.flush').map(decisionOf), { timeout: 20_000 })
    .toContainEqual(expect.anything());
  const flush = named('spillway.flush').find((span) => decisionOf(span) !== undefined);
  const decision = flush && decisionOf(flush);
  expect(decision).toMatchObject({ service: 'spillway-api', parentSpanId: expect.stringMatching(/^[\da-f]{16}$/u) });

  // BullMQ's own: the job is added, and processed further on in the same trace, in which its pages are stored.
  const inTrace = (): CollectedSpan[] =>
    spans.filter(({ traceId, spanId }) => traceId === flush?.traceId && spanId !== flush.spanId);
  await expect
    .poll(() => inTrace().map(({ name }) => name), { timeout: 20_000 })
    .toEqual(expect.arrayContaining([expect.stringMatching(/^add /u), expect.stringMatching(/^process /u)]));
  const added = inTrace().find(({ name }) => name.startsWith('add '));
  const processed = inTrace().find(({ name }) => name.startsWith('process '));
  expect(processed).toMatchObject({ service: 'spillway-worker', parentSpanId: added?.spanId });
  expect(flush).toMatchObject({ service: 'spillway-worker', parentSpanId: processed?.spanId });

  await expect
    .poll(() => [...metrics], { timeout: 20_000 })
    .toEqual(expect.arrayContaining(['spillway.limiter.decisions', 'spillway.worker.oldest_event_age']));
  expect(text()).not.toContain('192.0.2.77');
  for (const child of [api, worker]) {
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  }
}, 90_000);
