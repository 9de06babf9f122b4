import { createBreakers } from '@spillway/breaker';
import { insertBreakerEvents } from '@spillway/db';
import { useRedis } from '@spillway/local-servers/testing';
import { afterEach, expect, it } from 'vitest';
import { useApi } from '../../test/use-api.ts';

const redis = useRedis();
let breakers: ReturnType<typeof createBreakers> | undefined;
afterEach(async () => breakers?.close());
const api = useApi(() => ({ breakers: (breakers = createBreakers({ redis: redis.client, controlOnly: true })) }));

it('a look at breakers that nobody has used finds nothing and writes nothing', async () => {
  await redis.client.flushall();
  for (let round = 0; round < 20; round += 1) {
    const path = `/v1/breakers/made-up-${round}?preset=ai_provider`;
    expect((await api.ask('GET', path, { as: 'read' })).status).toBe(404);
  }
  // The number of shards is told by each process, whatever it is asked.
  expect((await redis.client.keys('*')).filter((key) => key !== '{sw:00}:shards')).toEqual([]);
});

it('one that was moved or has met a call is found, before it has left an event', async () => {
  const calling = createBreakers({ redis: redis.connect() });
  for (let call = 0; call < 2; call += 1) await calling.run('used', 'ai_provider', async () => 'fine');
  await calling.close();
  await insertBreakerEvents(api.pool, [
    {
      id: '00000000-0000-4000-8000-000000000001',
      breakerName: 'long-ago',
      preset: 'ai_provider',
      eventType: 'closed',
      breakerEpoch: 3,
      outboxShard: 0,
      outboxEpoch: 1,
      outboxSeq: 1,
      createdAtMs: Date.now(),
      errorMessage: null,
      failureCount: 0,
      metadata: {},
    },
  ]);
  const status = async (name: string): Promise<number> =>
    (await api.ask('GET', `/v1/breakers/${name}?preset=ai_provider`, { as: 'read' })).status;
  await expect.poll(() => status('used')).toBe(200);
  expect(await status('long-ago')).toBe(200);
  await api.ask('PUT', '/v1/breakers/moved?preset=ai_provider', { body: { mode: 'isolated' } });
  expect(await status('moved')).toBe(200);
});
