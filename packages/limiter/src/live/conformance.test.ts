import { type RedisServer, startRedis } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { LivePolicies } from './live-policies.ts';

const policies = [
  definePolicy({ name: 'uploads', limit: 10, windowMs: 60_000 }),
  definePolicy({ name: 'logins', limit: 2, windowMs: 60_000, blockMs: 60_000 }),
];

let server: RedisServer;
let redis: Redis;
beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, hotPathOptions);
  await vi.waitUntil(() => redis.status === 'ready');
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

type LiveLimiter = Limiter & { readonly live: LivePolicies };
const kinds: readonly [string, () => LiveLimiter][] = [
  ['memory', () => createLimiter<typeof policies>({ store: memoryStore(), policies, live: true })],
  ['redis', () => createLimiter<typeof policies>({ redis, policies, live: true, deadlineMs: 2_000 })],
];

/** How many of twenty changes at once are made. */
const race = async (work: (limit: number) => Promise<unknown>): Promise<number> => {
  const settled = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => work(index + 1)));
  return settled.filter(({ status }) => status === 'fulfilled').length;
};

describe.each(kinds)('live policies in %s', (_name, open) => {
  let limiter: LiveLimiter;
  let live: LivePolicies;
  beforeEach(async () => {
    await redis.flushall();
    limiter = open();
    live = limiter.live;
  });
  afterEach(() => limiter.close());

  const limitOf = async (subject: string): Promise<number> => (await limiter.peek('uploads', subject)).limit;

  it('take the place of the code’s policy, and give it back', async () => {
    await live.setPolicy({ name: 'uploads', limit: 20, windowMs: 60_000 });
    expect(await limitOf('u')).toBe(20);
    await expect(live.removePolicy('uploads')).resolves.toMatchObject({ existed: true });
    await expect(live.removePolicy('uploads')).resolves.toMatchObject({ existed: false });
    expect(await limitOf('u')).toBe(10);
  });

  it('can be added under a name that the code does not know', async () => {
    await expect(limiter.consume('exports', 'u')).rejects.toMatchObject({ field: 'policy' });
    await live.setPolicy({ name: 'exports', limit: 1, windowMs: 1_000 });
    await expect(limiter.consume('exports', 'u')).resolves.toMatchObject({ allowed: true, limit: 1 });
  });

  it.each(['sliding-log', 'sliding-window', 'fixed-window', 'token-bucket'] as const)(
    'change the window of a %s, with usage kept',
    async (algorithm) => {
      const policy = { name: 'exports', algorithm, limit: 4, windowMs: 60_000 };
      await live.setPolicy(policy);
      await limiter.consume('exports', 'u', { cost: 3 });
      await live.setPolicy({ ...policy, windowMs: 3_600_000 });
      expect(await limiter.consume('exports', 'u')).toMatchObject({ allowed: true, remaining: 0 });
      const { allowed, resetAfterMs } = await limiter.consume('exports', 'u');
      expect({ allowed, byTheHour: resetAfterMs > 1_800_000 }).toEqual({ allowed: false, byTheHour: true });
    },
  );

  it('prefer the exact override, then the closest pattern, then the live policy, then the code’s', async () => {
    expect(await limitOf('org-7:ann')).toBe(10);
    await live.setPolicy({ name: 'uploads', limit: 11, windowMs: 60_000 });
    expect(await limitOf('org-7:ann')).toBe(11);
    await live.setOverride({ policy: 'uploads', subject: '*', limit: 12 });
    expect(await limitOf('org-7:ann')).toBe(12);
    await live.setOverride({ policy: 'uploads', subject: 'org-*', limit: 13 });
    await live.setOverride({ policy: 'uploads', subject: '*ann', limit: 1 });
    expect(await limitOf('org-7:ann')).toBe(13);
    await live.setOverride({ policy: 'uploads', subject: 'org-7:*', limit: 14 });
    expect(await limitOf('org-7:ann')).toBe(14);
    await live.setOverride({ policy: 'uploads', subject: 'org-7:ann', limit: 15 });
    expect(await limitOf('org-7:ann')).toBe(15);
    expect(await limitOf('org-7:bob')).toBe(14);
    expect(await limitOf('org-8:bob')).toBe(13);
    expect(await limitOf('someone')).toBe(12);
    await expect(live.removeOverride({ policy: 'uploads', subject: 'org-7:ann' })).resolves.toMatchObject({
      existed: true,
    });
    expect(await limitOf('org-7:ann')).toBe(14);
    expect((await limiter.peek('logins', 'org-7:ann')).limit).toBe(2);
  });

  it('keep what was used: raising 10 to 20 frees 10 at once, lowering holds at once', async () => {
    await limiter.consume('uploads', 'u', { cost: 10 });
    expect((await limiter.consume('uploads', 'u')).allowed).toBe(false);
    await live.setOverride({ policy: 'uploads', subject: 'u', limit: 20 });
    expect(await limiter.consume('uploads', 'u')).toMatchObject({ allowed: true, limit: 20, remaining: 9 });
    await live.setOverride({ policy: 'uploads', subject: 'u', limit: 5 });
    expect(await limiter.consume('uploads', 'u')).toMatchObject({ allowed: false, limit: 5, remaining: 0 });
    await live.removeOverride({ policy: 'uploads', subject: 'u' });
    expect((await limiter.peek('uploads', 'u')).limit).toBe(10);
  });

  it('judge a cost by the limit that holds for the subject', async () => {
    await live.setOverride({ policy: 'uploads', subject: 'big', limit: 50 });
    await expect(limiter.consume('uploads', 'big', { cost: 40 })).resolves.toMatchObject({ remaining: 10 });
    await expect(limiter.consume('uploads', 'small', { cost: 40 })).rejects.toMatchObject({ field: 'cost' });
  });

  it('can turn a policy into one that only watches, for some', async () => {
    await live.setOverride({ policy: 'logins', subject: 'vip-*', mode: 'shadow' });
    for (let request = 0; request < 5; request += 1) await limiter.consume('logins', 'vip-1');
    await expect(limiter.consume('logins', 'vip-1')).resolves.toMatchObject({ allowed: true, reason: 'shadow' });
  });

  it('admit who is allowed and refuse who is denied, without charging', async () => {
    await live.allow('friend');
    await live.deny('10.0.0.0/8');
    await live.allow('10.1.2.3');
    await live.deny('::ffff:192.0.2.0/120');
    await live.deny('2001:db8::/32');
    await live.deny('bot-*');
    for (let request = 0; request < 12; request += 1) {
      expect(await limiter.consume('uploads', 'friend')).toMatchObject({ allowed: true, reason: 'allow_listed' });
    }
    const reason = async (subject: string): Promise<string> => (await limiter.consume('uploads', subject)).reason;
    expect(await reason('ip:10.9.9.9')).toBe('deny_listed');
    expect(await reason('10.9.9.9')).toBe('allowed');
    expect(await reason('ip:10.1.2.3')).toBe('allow_listed');
    expect(await reason('ip:192.0.2.77')).toBe('deny_listed');
    expect(await reason('ip:::ffff:192.0.2.77')).toBe('deny_listed');
    expect(await reason('ip:2001:db8:0:4500::/56')).toBe('deny_listed');
    expect(await reason('ip:2001:db9::/56')).toBe('allowed');
    expect(await reason('ip:2000::/8')).toBe('allowed');
    expect(await reason('bot-7')).toBe('deny_listed');
    expect(await limiter.consume('uploads', 'bot-7')).toMatchObject({ allowed: false, retryAfterMs: Infinity });
    await expect(live.unlist('bot-*')).resolves.toMatchObject({ existed: true });
    await expect(live.unlist('bot-*')).resolves.toMatchObject({ existed: false });
    expect(await reason('bot-7')).toBe('allowed');
    await live.unlist('friend');
    expect(await limiter.peek('uploads', 'friend')).toMatchObject({ reason: 'allowed', remaining: 10 });
  });

  it('move an entry from one list to the other', async () => {
    await live.deny('x');
    await live.allow('x');
    expect(await live.list()).toMatchObject({ allowed: ['x'], denied: [] });
  });

  it('tell all that is set', async () => {
    await live.setPolicy({ name: 'uploads', limit: 11, windowMs: 60_000 });
    await live.setOverride({ policy: 'uploads', subject: 'a:b', windowMs: 5_000, blockMs: 0, mode: 'shadow' });
    await live.allow('::ffff:10.0.0.1');
    await live.deny('10.1.2.3/8');
    expect(await live.list()).toEqual({
      policies: [definePolicy({ name: 'uploads', limit: 11, windowMs: 60_000 })],
      overrides: [{ policy: 'uploads', subject: 'a:b', windowMs: 5_000, blockMs: 0, mode: 'shadow' }],
      allowed: ['10.0.0.1'],
      denied: ['10.0.0.0/8'],
      blocked: [],
      plans: [],
      presets: [],
    });
  });

  it('are changed only while onlyIf holds for what is stored, and nothing is changed otherwise', async () => {
    const policy = { name: 'uploads', limit: 11, windowMs: 60_000 };
    const absent = { onlyIf: (stored: unknown) => stored === undefined };
    await live.setPolicy(policy, absent);
    const conflict = { code: 'entry_changed', object: 'uploads' };
    await expect(live.setPolicy({ ...policy, limit: 12 }, absent)).rejects.toMatchObject(conflict);
    await live.setPolicy({ ...policy, limit: 13 }, { onlyIf: (stored) => stored?.limit === 11 });
    await expect(live.removePolicy('uploads', { onlyIf: (stored) => stored?.limit === 11 })).rejects.toMatchObject(
      conflict,
    );
    expect(await live.list()).toMatchObject({ policies: [{ limit: 13 }] });
    await live.removePolicy('uploads', { onlyIf: (stored) => stored?.limit === 13 });

    const override = { policy: 'uploads', subject: 'a:b', limit: 3 };
    await live.setOverride(override, absent);
    await expect(live.setOverride(override, absent)).rejects.toMatchObject({ object: 'uploads/a:b' });
    await live.removeOverride(override, { onlyIf: (stored) => stored?.subject === 'a:b' && stored.limit === 3 });
    await live.deny('10.1.2.3/8', absent);
    await expect(live.allow('10.0.0.0/8', absent)).rejects.toMatchObject({ object: '10.0.0.0/8' });
    await live.allow('10.0.0.0/8', { onlyIf: (stored) => stored === 'deny' });
    await expect(live.unlist('10.0.0.0/8', { onlyIf: (stored) => stored === 'deny' })).rejects.toMatchObject({
      code: 'entry_changed',
    });
    expect(await live.list()).toMatchObject({ policies: [], overrides: [], allowed: ['10.0.0.0/8'], denied: [] });

    await live.setPlan({ name: 'pro', policies: ['uploads'] }, absent);
    await expect(live.setPlan({ name: 'pro', policies: ['logins'] }, absent)).rejects.toMatchObject({ object: 'pro' });
    await live.removePlan('pro', { onlyIf: (stored) => stored?.policies[0] === 'uploads' });
    const preset = { name: 'search', openMs: 1_000 };
    await live.setPreset(preset, absent);
    await expect(live.removePreset('search', absent)).rejects.toMatchObject({ object: 'search' });
    await live.setPreset({ ...preset, openMs: 2_000 }, { onlyIf: (stored) => stored?.['openMs'] === 1_000 });
    expect(await live.list()).toMatchObject({ plans: [], presets: [{ name: 'search', openMs: 2_000 }] });
  });

  it('are changed once by changes that race and want the same', async () => {
    const absent = { onlyIf: (stored: unknown) => stored === undefined };
    expect(await race((limit) => live.setPolicy({ name: 'raced', limit, windowMs: 1_000 }, absent))).toBe(1);
    const before = (await live.list()).policies[0]?.limit;
    const same = { onlyIf: (stored: { readonly limit?: number } | undefined) => stored?.limit === before };
    expect(await race((limit) => live.setPolicy({ name: 'raced', limit: limit + 100, windowMs: 1_000 }, same))).toBe(1);
    expect(await race((limit) => live.setOverride({ policy: 'raced', subject: 'u', limit }, absent))).toBe(1);
    expect(await race(() => live.deny('mallory', absent))).toBe(1);
  });

  it('refuse an onlyIf that is no function, and one where it has no meaning', async () => {
    const bad = { onlyIf: 'W/"1"' } as object;
    await expect(live.deny('x', bad)).rejects.toMatchObject({ code: 'invalid_input', field: 'onlyIf' });
    await expect(live.unblockEverywhere('x', { onlyIf: () => true } as object)).rejects.toMatchObject({
      code: 'invalid_input',
      field: 'options.onlyIf',
    });
  });

  it('keep plans, presets and the file that they came from', async () => {
    await live.setPlan({ name: 'pro', policies: ['uploads', 'logins'] });
    expect(live.plan('pro')).toEqual(['uploads', 'logins']);
    expect(live.plan('free')).toBeUndefined();
    const preset = { name: 'search', openMs: 1_000, trip: { strategy: 'consecutive', failures: 3 } };
    await live.setPreset(preset);
    const file = { name: 'spillway.yaml', sha256: 'a'.repeat(64), content: 'b'.repeat(64), changes: 2 };
    await live.recordFile(file);
    const plans = [{ name: 'pro', policies: ['uploads', 'logins'] }];
    expect(await live.list()).toMatchObject({ plans, presets: [preset], file });
    await expect(live.removePlan('pro')).resolves.toMatchObject({ existed: true });
    await expect(live.removePreset('search')).resolves.toMatchObject({ existed: true });
    expect(live.plan('pro')).toBeUndefined();
    expect(await live.list()).toMatchObject({ plans: [], presets: [] });
  });

  it.each([
    ['a policy that cannot be', () => live.setPolicy({ name: 'x', limit: 0, windowMs: 1 }), 'policy x: limit'],
    ['an override of nothing', () => live.setOverride({ policy: 'uploads', subject: 'u' }), 'override'],
    ['a bad name', () => live.setOverride({ policy: 'a:b', subject: 'u', limit: 1 }), 'policy'],
    ['no subject', () => live.setOverride({ policy: 'uploads', subject: '', limit: 1 }), 'subject'],
    ['a bad limit', () => live.setOverride({ policy: 'uploads', subject: 'u', limit: -1 }), 'limit'],
    ['a bad window', () => live.setOverride({ policy: 'uploads', subject: 'u', windowMs: 0 }), 'windowMs'],
    ['a bad block', () => live.setOverride({ policy: 'uploads', subject: 'u', blockMs: 0.5 }), 'blockMs'],
    ['an impossible network', () => live.deny('10.0.0.0/33'), 'entry'],
    ['a network of everybody', () => live.deny('0.0.0.0/0'), 'entry'],
    ['an empty entry', () => live.allow(''), 'subject'],
    ['a plan of nothing', () => live.setPlan({ name: 'pro', policies: [] }), 'policies'],
    ['a plan that names a policy twice', () => live.setPlan({ name: 'pro', policies: ['a', 'a'] }), 'policies'],
    ['a plan without a proper name', () => live.setPlan({ name: 'Pro', policies: ['a'] }), 'plan'],
    ['a preset without a proper name', () => live.setPreset({ name: 'a b' }), 'preset'],
  ])('refuse %s and name the field', async (_what, set, field) => {
    await expect(set()).rejects.toMatchObject({ code: 'invalid_input', field });
    expect(await live.list()).toEqual({
      policies: [],
      overrides: [],
      allowed: [],
      denied: [],
      blocked: [],
      plans: [],
      presets: [],
    });
  });
});
