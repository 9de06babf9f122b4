import { readFileSync } from 'node:fs';
import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { describe, expect, it, vi } from 'vitest';
import { type Batch, emptyBatch } from '../machine/batch.ts';
import { type Action, unknownView, type View } from '../machine/record.ts';
import { baseConfig, failures, successes } from '../../test/machine.ts';
import { redisUnderTest } from '../../test/stores.ts';
import { breakerKeys, redisStore } from './redis-store.ts';

const redis = useRedis();
const MINUTE = 60_000;
/** In minutes. */
const DAY = 24 * 60;
const T0 = 1_800_000_000_000;
const id = { preset: 'storage', name: 's3' };
const config = { ...baseConfig, quorum: 1, openMs: 50, maxOpenMs: 100 };
const make = (client: Redis, deadlineMs = 5_000) => redisStore({ client, deadlineMs, shards: 16, outboxCap: 1_000 });
const read = { instance: 'a', config, known: unknownView, random: 0, action: { type: 'read' } } as const;

describe('keys', () => {
  it('of a breaker lie in one slot and have a time to live, all but the outbox', async () => {
    const store = make(redis.client);
    await store.execute(id, { ...read, action: { type: 'report', seq: 1, batch: successes(1) } });
    await store.execute(id, { ...read, action: { type: 'report', seq: 2, batch: failures(3) } });
    await expect
      .poll(async () => (await store.execute(id, { ...read, action: { type: 'acquire', leaseId: 'l' } })).verdict)
      .toBe('granted');
    const [record, instances, leases, pulse] = breakerKeys(id, 16);
    expect(await redis.client.zrange(leases, '0', '-1')).toEqual(['l']);
    const keys = (await redis.client.keys('*')).filter((name) => !name.endsWith(':shards'));
    expect(keys).toEqual(expect.arrayContaining([record, instances, leases, pulse]));
    expect(new Set(keys.map((key) => key.slice(0, 7))).size).toBe(1);
    for (const key of keys.filter((name) => !/:outbox(:head)?$/.test(name))) {
      expect(await redis.client.pttl(key), key).toBeGreaterThan(0);
    }
  });

  it('of a breaker that is forced open without an end outlive almost ten years', async () => {
    const forced = { type: 'force', target: 'forced_open', forMs: 0, who: 'ada', why: '' } as const;
    await make(redis.client).execute(id, { ...read, action: forced });
    expect(await redis.client.pttl(breakerKeys(id, 16)[0])).toBeGreaterThan(9 * 365 * 86_400_000);
  });

  it('live a day longer than what they tell of, and those of instances for ten minutes', async () => {
    const store = make(redis.client);
    const [record, instances, leases, pulse] = breakerKeys(id, 16);
    const lives = async (key: string): Promise<number> => Math.ceil((await redis.client.pttl(key)) / MINUTE);
    const act = async (action: Action): Promise<View> =>
      (await store.execute(id, { ...read, config: slow, action })).view;
    const slow = { ...config, openMs: 10 * MINUTE, maxOpenMs: 10 * MINUTE, leaseMs: 20 * MINUTE };
    await act({ type: 'report', seq: 1, batch: successes(1) });
    expect([await lives(record), await lives(instances)]).toEqual([DAY, 10]);
    await act({ type: 'report', seq: 2, batch: failures(3) });
    expect([await lives(record), await lives(pulse)]).toEqual([DAY + 10, 3_650 * DAY]);
    const forced = { type: 'force', target: 'forced_closed', who: 'ada', why: '' } as const;
    await act({ ...forced, forMs: 30 * MINUTE });
    expect(await lives(record)).toBe(DAY + 30);
    await act({ ...forced, forMs: 0 });
    expect(await lives(record)).toBe(3_650 * DAY);
    await act({ type: 'reset', who: 'ada', why: '' });
    await act({ type: 'report', seq: 3, batch: { ...emptyBatch, quotas: 1, quotaMs: 1, samples: ['429'] } });
    await expect.poll(async () => (await act({ type: 'acquire', leaseId: 'l' })).kind).toBe('half_open');
    expect([await lives(record), await lives(leases)]).toEqual([DAY, DAY + 20]);
  });

  it('are left as they are by a look, in every state', async () => {
    const under = await redisUnderTest(redis.url);
    const [record] = breakerKeys(id, 1);
    await under.setNow(T0);
    let seq = 0;
    const act = async (action: Action): Promise<View> => (await under.store.execute(id, { ...read, action })).view;
    const looked = async (): Promise<string> => {
      const before = await redis.client.get(record);
      await redis.client.persist(record);
      const { kind } = await act({ type: 'read' });
      // Whatever writes it sets a time to live.
      expect(await redis.client.pttl(record), kind).toBe(-1);
      expect(await redis.client.get(record), kind).toBe(before);
      return kind;
    };
    const report = async (batch: Batch): Promise<View> => act({ type: 'report', seq: (seq += 1), batch });
    const seen = new Set<string>();
    await report(successes(1));
    seen.add(await looked());
    await report(failures(3));
    seen.add(await looked());
    await under.setNow(T0 + 50);
    await act({ type: 'acquire', leaseId: 'l' });
    seen.add(await looked());
    await act({ type: 'reset', who: 'ada', why: '' });
    await report({ ...emptyBatch, quotas: 1, quotaMs: 700, samples: ['429'] });
    await under.setNow(T0 + 60);
    seen.add(await looked());
    for (const target of ['forced_open', 'forced_closed'] as const) {
      await act({ type: 'force', target, forMs: 800, who: 'ada', why: '' });
      await under.setNow(T0 + 70);
      seen.add(await looked());
    }
    expect([...seen].toSorted()).toEqual(['closed', 'forced_closed', 'forced_open', 'half_open', 'open']);
    await under.dispose();
  });

  it('are written only with a time to live', () => {
    const lua = ['breaker', ...['record', 'window', 'audit'].map((name) => `includes/breaker-${name}`)]
      .map((name) => readFileSync(new URL(`../../lua/${name}.lua`, import.meta.url), 'utf8'))
      .join('\n');
    const writes = [...lua.matchAll(/call\('(SET|HSET|ZADD)'.*\n.*/g)].map(([lines]) => lines);
    expect(writes).toHaveLength(5);
    // Those that put a later time on a lease find its key there, with its time to live.
    const clamping = writes.filter((lines) => lines.includes('latest'));
    expect(clamping).toHaveLength(1);
    for (const lines of writes.filter((one) => !clamping.includes(one))) expect(lines).toMatch(/ttl_ms\(/);
  });
});

it('has headers that name every key and argument of the script', () => {
  const lua = readFileSync(new URL('../../lua/breaker.lua', import.meta.url), 'utf8');
  const record = readFileSync(new URL('../../lua/includes/breaker-record.lua', import.meta.url), 'utf8');
  for (const part of [
    '[1] record, [2] instances, [3] leases, [4] pulse',
    '[1] command',
    '[2] outbox cap',
    '[3] channel',
  ]) {
    expect(lua).toContain(part);
  }
  expect(record).toContain('RECORD, INSTANCES, LEASES, PULSE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]');
});

it('answers a Redis that is away or frozen with a typed error within the deadline', async () => {
  const own = await startRedis();
  const client = new Redis(own.url, hotPathOptions);
  client.on('error', () => undefined);
  const store = make(client, 100);
  try {
    await vi.waitUntil(() => client.status === 'ready');
    await expect(store.execute(id, read)).resolves.toMatchObject({ verdict: 'done' });
    await own.pause();
    await expect(store.execute(id, read)).rejects.toMatchObject({ code: 'store_unavailable', sent: true });
    await expect(store.execute(id, read)).rejects.toMatchObject({ sent: false, cause: { code: 'no_answer' } });
    await own.resume();
    await expect.poll(async () => store.execute(id, read).catch(() => undefined)).toMatchObject({ verdict: 'done' });
    await own.kill();
    await expect.poll(() => client.status).not.toBe('ready');
    await expect(store.execute(id, read)).rejects.toMatchObject({
      sent: false,
      cause: { kind: 'outage' },
    });
  } finally {
    client.disconnect();
    await own.stop();
  }
});

it('waits within its deadline for a connection that is being made', async () => {
  const client = new Redis(redis.url, { ...hotPathOptions, lazyConnect: true });
  try {
    const answers = [1, 2, 3].map(() => make(client).execute(id, read));
    expect(client.status).toBe('connecting');
    await expect(Promise.all(answers)).resolves.toHaveLength(3);
  } finally {
    client.disconnect();
  }
});
