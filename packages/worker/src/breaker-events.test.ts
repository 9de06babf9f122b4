import { builtInPresets, createBreakers, definePreset } from '@spillway/breaker';
import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterEach, expect, it, vi } from 'vitest';
import { type AuditWorker, startWorker } from './start-worker.ts';
import { useMigratedPostgres, recordingLogger } from '../test/helpers.ts';

const redis = useRedis();
const postgres = useMigratedPostgres();
const presets = [
  ...builtInPresets,
  definePreset({ name: 'quick', trip: { strategy: 'consecutive', failures: 3 }, openMs: 30 }),
] as const;
const boom = async (): Promise<never> => {
  throw new Error('HTTP 503, api_key=sk-abcdefghijklmnop\0');
};
const fine = async (): Promise<string> => 'fine';

/** The guide's, word for word. */
const STORY = `SELECT breaker_name, event_type, COUNT(*) 
FROM circuit_breaker_events 
WHERE created_at > now() - interval '24 hours'
GROUP BY breaker_name, event_type;`;

const workers: AuditWorker[] = [];
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.close();
});

function start(url = redis.url): void {
  const pump = { lingerMs: 20 };
  workers.push(startWorker({ redis: url, pool: postgres.pool, shards: 16, logger: recordingLogger(), pump }));
}

async function ready(client: Redis): Promise<Redis> {
  await vi.waitUntil(() => client.status === 'ready');
  return client;
}

async function rows(sql: string): Promise<Record<string, unknown>[]> {
  return (await postgres.pool.query(sql)).rows;
}

async function story(): Promise<string[]> {
  const counted = await rows(STORY);
  return counted.map(({ breaker_name, event_type, count }) => [breaker_name, event_type, count].join(' ')).toSorted();
}

it("a breaker's life is told by the guide's query: three failures, opened, half open, closed", async () => {
  start();
  const breakers = createBreakers({ redis: await ready(redis.connect(hotPathOptions)), presets, deadlineMs: 5_000 });
  for (let call = 0; call < 3; call += 1) await breakers.run('runware', 'quick', boom, { fallback: null });
  const closes = async (): Promise<string> => {
    await breakers.run('runware', 'quick', fine, { fallback: null });
    return breakers.get('runware', 'quick').state;
  };
  await expect.poll(() => breakers.get('runware', 'quick').snapshot().fleetState).toBe('open');
  await expect.poll(closes).toBe('closed');
  await expect
    .poll(story, { timeout: 10_000 })
    .toEqual(['runware closed 1', 'runware failure 3', 'runware half_open 1', 'runware opened 1']);

  const transitions = await rows(
    'SELECT * FROM circuit_breaker_events WHERE breaker_epoch IS NOT NULL ORDER BY breaker_epoch',
  );
  expect(transitions.map(({ preset, event_type, failure_count }) => [preset, event_type, failure_count])).toEqual([
    ['quick', 'opened', '3'],
    ['quick', 'half_open', '0'],
    ['quick', 'closed', '0'],
  ]);
  expect(transitions[0]).toMatchObject({
    error_message: 'HTTP 503, api_key=***',
    metadata: { preset: 'quick', reason: 'failures', version: 1, instance: expect.stringMatching(/^[\da-f-]{36}$/) },
  });
  expect(transitions.map(({ metadata }) => (metadata as { reason: string }).reason)).toEqual([
    'failures',
    'open_time_over',
    'probes_succeeded',
  ]);
  await breakers.close();
});

it('what a person does is one row with who, why and until when; two presets of one name are told apart', async () => {
  start();
  const breakers = createBreakers({ redis: await ready(redis.connect(hotPathOptions)), presets, deadlineMs: 5_000 });
  await breakers.get('s3', 'storage').forceOpen({ who: 'ada', why: 'drill', forMs: 60_000 });
  await breakers.get('s3', 'webhook').forceOpen({ who: 'bob' });
  await breakers.get('s3', 'storage').reset({ who: 'ada', why: 'done' });
  const seen =
    'SELECT preset, event_type, metadata FROM circuit_breaker_events ORDER BY preset, created_at, event_type DESC';
  await expect
    .poll(async () => rows(seen), { timeout: 10_000 })
    .toEqual([
      {
        preset: 'storage',
        event_type: 'opened',
        metadata: expect.objectContaining({
          reason: 'forced',
          who: 'ada',
          why: 'drill',
          untilMs: expect.any(Number),
        }),
      },
      {
        preset: 'storage',
        event_type: 'closed',
        metadata: expect.objectContaining({ reason: 'reset', who: 'ada', why: 'done' }),
      },
      { preset: 'webhook', event_type: 'opened', metadata: expect.objectContaining({ who: 'bob', untilMs: 0 }) },
    ]);
  await breakers.close();
});

it('twenty processes that trip one breaker at once leave one row that says it opened', async () => {
  start();
  const fleet = await Promise.all(
    Array.from({ length: 20 }, async () =>
      createBreakers({ redis: await ready(redis.connect(hotPathOptions)), presets, deadlineMs: 5_000 }),
    ),
  );
  const calls = fleet.flatMap((breakers) =>
    Array.from({ length: 3 }, () => breakers.run('s3', 'storage', boom, { fallback: null })),
  );
  await Promise.all(calls);
  const open = (): boolean => fleet.every((breakers) => breakers.get('s3', 'storage').snapshot().fleetState === 'open');
  await expect.poll(open, { timeout: 10_000 }).toBe(true);
  await Promise.all(fleet.map((breakers) => breakers.close()));
  const opened = "SELECT COUNT(*)::int FROM circuit_breaker_events WHERE event_type = 'opened'";
  await expect.poll(() => rows(opened), { timeout: 10_000 }).toEqual([{ count: 1 }]);
});

it(
  'an outage of Redis leaves one row in audit_gaps for all breakers of all processes',
  { timeout: 60_000 },
  async () => {
    const server = await startRedis();
    const clients = await Promise.all(Array.from({ length: 3 }, () => ready(new Redis(server.url, hotPathOptions))));
    for (const client of clients) client.on('error', () => undefined);
    const fleet = clients.map((client) => createBreakers({ redis: client, presets, deadlineMs: 1_000 }));
    for (const breakers of fleet) await breakers.run('s3', 'storage', fine);
    await server.kill();
    for (const client of clients) await expect.poll(() => client.status).not.toBe('ready');
    for (const breakers of fleet) {
      for (let call = 0; call < 4; call += 1) await breakers.run('s3', 'storage', boom, { fallback: null });
      await breakers.run('smtp', 'email', fine);
      await expect.poll(() => breakers.snapshot().every(({ isStale }) => isStale)).toBe(true);
      await breakers.run('s3', 'storage', fine, { fallback: null });
      await breakers.run('smtp', 'email', boom, { fallback: null });
    }
    await server.restart();
    start(server.url);
    const gaps = 'SELECT kind, detail FROM spillway.audit_gaps';
    await expect
      .poll(() => rows(gaps), { timeout: 20_000 })
      .toEqual([{ kind: 'breaker_outage', detail: expect.objectContaining({ instances: 3 }) }]);
    const back = (): boolean => fleet.every((breakers) => breakers.snapshot().every(({ isStale }) => !isStale));
    await expect.poll(back).toBe(true);
    await Promise.all(fleet.map((breakers) => breakers.close()));
    for (const client of clients) client.disconnect();
    for (const worker of workers.splice(0)) await worker.close();
    await server.stop();
  },
);
