import { startRedis } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createLimiter } from '../limiter/create-limiter.ts';
import { memoryStore } from '../store/memory-store.ts';
import { firstRead } from './first-read.ts';

const redis = useRedis();
const policies = [
  { name: 'uploads', limit: 10, windowMs: 60_000 },
  { name: 'renders', algorithm: 'concurrency', limit: 2, windowMs: 60_000 },
  { name: 'closed', limit: 10, windowMs: 60_000, onUnavailable: 'closed' },
] as const;

function limiterOn(where: Redis | string, deadlineMs = 5_000) {
  const limiter = createLimiter({ redis: where, policies, deadlineMs, live: true, onError: () => undefined });
  onTestFinished(() => limiter.close());
  return limiter;
}

function clientOf(url: string): Redis {
  const client = new Redis(url, hotPathOptions);
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  return client;
}

describe('the first decision of a process', () => {
  it.each(['blockEverywhere', 'deny'] as const)('refuses after %s elsewhere, by every operation', async (how) => {
    const running = limiterOn(redis.url);
    await (how === 'deny' ? running.live.deny('u') : running.live.blockEverywhere('u'));
    const refused = { allowed: false, reason: how === 'deny' ? 'deny_listed' : 'blocked' };
    const start = () => limiterOn(redis.url);
    expect(await start().consume('uploads', 'u')).toMatchObject(refused);
    expect(await start().peek('uploads', 'u')).toMatchObject(refused);
    expect(await start().consumeAll([{ policy: 'uploads', subject: 'u' }])).toMatchObject({ allowed: false });
    expect(await start().acquire('renders', 'u')).toBeUndefined();
    await expect(start().waitFor('uploads', 'u', { maxWaitMs: 1 })).rejects.toMatchObject({ code: 'wait_exceeded' });
    const started = start();
    const together = await Promise.all(Array.from({ length: 100 }, () => started.consume('uploads', 'u')));
    expect(together.filter(({ allowed }) => allowed)).toEqual([]);
    expect(await start().consume('uploads', 'other')).toMatchObject({ allowed: true, remaining: 9 });
  });

  it('goes by an override that was set elsewhere', async () => {
    await limiterOn(redis.url).live.setOverride({ policy: 'uploads', subject: 'u', limit: 1 });
    expect(await limiterOn(redis.url).consume('uploads', 'u')).toMatchObject({ limit: 1, remaining: 0 });
  });

  it('waits for no more than its deadline when Redis does not answer, and the wait is part of it', async () => {
    const own = await startRedis();
    onTestFinished(() => own.stop());
    const client = clientOf(own.url);
    await vi.waitUntil(() => client.status === 'ready');
    await own.pause();
    const limiter = limiterOn(client, 50);
    const set = vi.spyOn(globalThis, 'setTimeout');
    const [one, two] = await Promise.all([limiter.consume('closed', 'u'), limiter.consume('uploads', 'u')]);
    expect([one, two]).toMatchObject([
      { allowed: false, reason: 'unavailable', cause: 'no_answer' },
      { allowed: true, reason: 'unavailable', cause: 'no_answer' },
    ]);
    // Timers for what is left of the deadline, and none for another one.
    const waits = set.mock.calls.map(([, ms]) => ms);
    set.mockRestore();
    expect(waits.filter((ms) => ms === 50)).toHaveLength(1);
    await own.resume();
    await expect.poll(async () => (await limiter.consume('uploads', 'u')).reason).toBe('allowed');
  });

  it('of a limiter in memory is that of any other', async () => {
    const limiter = createLimiter({ store: memoryStore(), policies, live: true });
    onTestFinished(() => limiter.close());
    expect(await limiter.consume('uploads', 'u')).toMatchObject({ allowed: true, remaining: 9 });
  });

  it('rejects bad input as any other', async () => {
    await expect(limiterOn(redis.url).consume('uploads', '')).rejects.toMatchObject({ code: 'invalid_input' });
  });
});

describe('firstRead', () => {
  it('is over when the entries were read, or could not be, and holds back no decision after that', async () => {
    for (const read of [Promise.resolve(), Promise.reject(new Error('away'))]) {
      const first = firstRead(read, 60_000);
      expect(first.isOver).toBe(false);
      await first.wait();
      expect(first.isOver).toBe(true);
    }
  });

  it('lets the deadline of those that waited begin when the first came, and of others when they travel', async () => {
    let done: (() => void) | undefined;
    const first = firstRead(new Promise<void>((resolve) => (done = resolve)), 60_000);
    const waited = first.wait();
    const cameByMs = performance.now();
    done?.();
    await waited;
    expect(first.startedAt()).toBeLessThanOrEqual(cameByMs);
    await expect.poll(() => first.startedAt()).toBeGreaterThan(cameByMs);
  });
});
