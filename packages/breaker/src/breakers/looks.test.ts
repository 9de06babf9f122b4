import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { afterEach, describe, expect, it } from 'vitest';
import { boom, fine, metricsWith, outcomeOf, quick } from '../../test/breakers.ts';
import type { Breakers } from './breaker.ts';
import { createBreakers } from './create-breakers.ts';

const redis = useRedis();
const made: Breakers<'quick'>[] = [];
afterEach(async () => {
  for (const breakers of made.splice(0)) await breakers.close();
});

function controlOnly(): { readonly breakers: Breakers<'quick'>; readonly named: string[] } {
  const named: string[] = [];
  const metrics = metricsWith({ state: (name) => void named.push(name) });
  const client = redis.connect(hotPathOptions);
  const breakers = createBreakers({
    redis: client,
    presets: [quick()],
    controlOnly: true,
    metrics,
    deadlineMs: 10_000,
  });
  made.push(breakers);
  return { breakers, named };
}

function caller(): Breakers<'quick'> {
  const client = redis.connect(hotPathOptions);
  const breakers = createBreakers({ redis: client, presets: [quick({ quorum: 1 })], deadlineMs: 10_000 });
  made.push(breakers);
  return breakers;
}

const open = async (breakers: Breakers<'quick'>): Promise<void> => {
  for (let call = 0; call < 3; call += 1) await outcomeOf(breakers.run('used', 'quick', boom));
};

describe('a look at a breaker', () => {
  it('that nobody has used says so and leaves nothing behind: no key, no news, no metric, no entry', async () => {
    const { breakers, named } = controlOnly();
    await expect.poll(async () => (await redis.client.pubsub('CHANNELS')).length).toBe(1);
    const before = await redis.client.info('commandstats');
    const publishedBefore = /cmdstat_publish:calls=(\d+)/.exec(before)?.[1];
    for (let name = 0; name < 300; name += 1) {
      expect(await breakers.get(`made-up-${name}`, 'quick').read()).toMatchObject({
        epoch: 0,
        state: 'closed',
        sinceMs: null,
      });
    }
    // The number of shards is no news of a breaker.
    expect(await redis.client.keys('*')).toEqual(['{sw:00}:shards']);
    expect(/cmdstat_publish:calls=(\d+)/.exec(await redis.client.info('commandstats'))?.[1]).toBe(publishedBefore);
    expect([named, breakers.snapshot()]).toEqual([[], []]);
  });

  it('that others use tells what they know, and follows them', async () => {
    const { breakers, named } = controlOnly();
    const other = caller();
    await other.run('used', 'quick', fine);
    await open(other);
    await expect.poll(() => other.get('used', 'quick').snapshot().fleetState).toBe('open');
    expect(await breakers.get('used', 'quick').read()).toMatchObject({
      state: 'open',
      reason: 'failures',
      openings: 1,
    });
    expect(named).toContain('used');
    await other.get('used', 'quick').reset({ who: 'ada' });
    await expect.poll(() => breakers.get('used', 'quick').state).toBe('closed');
    // Reads keep nothing that was not there.
    const record = (await redis.client.keys('*:cb:*'))[0] ?? '';
    const ttl = await redis.client.pexpiretime(record);
    await breakers.get('used', 'quick').read();
    expect(await redis.client.pexpiretime(record)).toBe(ttl);
  });

  it('hears of its first use afterwards, without asking again', async () => {
    const { breakers } = controlOnly();
    const used = breakers.get('used', 'quick');
    expect((await used.read()).epoch).toBe(0);
    await expect
      .poll(
        async () => (await redis.client.pubsub('NUMSUB', ...((await redis.client.pubsub('CHANNELS')) as string[])))[1],
      )
      .toBe(1);
    await open(caller());
    await expect.poll(() => used.state).toBe('open');
    expect(used.snapshot()).toMatchObject({ fleetState: 'open', isStale: false });
  });
});
