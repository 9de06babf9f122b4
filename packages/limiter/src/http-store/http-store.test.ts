import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { playApi, type PlayedApi } from '../../test/played-api.ts';
import { createLimiter as createWithRedis } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { type ApiFault, createLimiter, httpStore, type HttpStoreOptions } from './index.ts';

const policies = [
  { name: 'open', limit: 3, windowMs: 60_000, onUnavailable: 'open' },
  { name: 'closed', limit: 3, windowMs: 60_000, onUnavailable: 'closed' },
  { name: 'local', limit: 4, windowMs: 60_000, onUnavailable: 'local' },
  { name: 'blocking', limit: 1, windowMs: 60_000, blockMs: 120_000, onUnavailable: 'open' },
  { name: 'slots', algorithm: 'concurrency', limit: 1, windowMs: 60_000, onUnavailable: 'closed' },
] as const;

interface Started {
  readonly api: PlayedApi;
  readonly limiter: Limiter;
  readonly faults: ApiFault[];
}

async function start(options: Partial<HttpStoreOptions> = {}): Promise<Started> {
  const api = await playApi(policies);
  const faults: ApiFault[] = [];
  const onError = (fault: ApiFault): void => void faults.push(fault);
  const store = httpStore({ url: api.url, key: 'right', deadlineMs: 5_000, onError, ...options });
  const limiter: Limiter = createLimiter({ store, policies });
  onTestFinished(() => limiter.close());
  return { api, limiter, faults };
}

const allowed = async (limiter: Limiter, policy: string, count: number): Promise<boolean[]> => {
  const found: boolean[] = [];
  for (let request = 0; request < count; request += 1) found.push((await limiter.consume(policy, 'ada')).allowed);
  return found;
};

const both = (cost: number) => [
  { policy: 'open', subject: 'ada', cost },
  { policy: 'local', subject: 'ada', cost },
];

describe('a limiter over the API', () => {
  it('admits what the API admits, and tells the wait', async () => {
    const { limiter } = await start();
    expect(await allowed(limiter, 'open', 3)).toEqual([true, true, true]);
    const refused = await limiter.consume('open', 'ada');
    expect(refused).toMatchObject({ allowed: false, reason: 'limited', limit: 3, remaining: 0 });
    expect(refused.retryAfterMs).toBeGreaterThan(50_000);
    expect((await limiter.consume('open', 'ada', { action: 'upload' })).allowed).toBe(true);
    expect((await limiter.consume('open', 'a/ü %', { cost: 3 })).remaining).toBe(0);
  });

  it('sends what is asked for in one turn in one trip, by policy and at most a hundred together', async () => {
    const { api, limiter } = await start();
    const ask = (policy: string) => (_: unknown, index: number) => limiter.consume(policy, `user-${index}`);
    await Promise.all([...Array.from({ length: 150 }, ask('open')), ...Array.from({ length: 3 }, ask('closed'))]);
    expect(api.asked.map(({ path, body }) => [path, body.requests?.length])).toEqual([
      ['/v1/limits/open/batch', 100],
      ['/v1/limits/open/batch', 50],
      ['/v1/limits/closed/batch', 3],
    ]);
  });

  it('gathers what comes while a trip is under way', async () => {
    const { api, limiter } = await start({ gatherMs: 20 });
    const first = limiter.consume('open', 'first');
    await vi.waitUntil(() => api.asked.length === 1, { timeout: 10_000, interval: 0 });
    api.mood = 'decides';
    const later: Promise<unknown>[] = [];
    for (let request = 0; request < 5; request += 1) {
      later.push(limiter.consume('open', `later-${request}`));
      await Promise.resolve();
    }
    await Promise.all([first, ...later]);
    expect(api.asked.length).toBeLessThanOrEqual(3);
  });

  it('decides several policies together, all or none', async () => {
    const { limiter } = await start();
    expect(await limiter.consumeAll(both(3))).toMatchObject({ allowed: true, refusedBy: [] });
    expect(await limiter.consumeAll(both(1))).toMatchObject({ allowed: false, refusedBy: ['open'] });
    expect((await limiter.peek('local', 'ada')).remaining).toBe(1);
  });

  it('charges, gives back, resets, blocks and unblocks', async () => {
    const { api, limiter } = await start();
    expect((await limiter.penalize('open', 'ada', { cost: 2 })).remaining).toBe(1);
    expect((await limiter.reward('open', 'ada')).remaining).toBe(2);
    await limiter.reset('open', 'ada', { why: 'a mistake' });
    expect(api.asked.at(-1)?.body).toEqual({ subject: 'ada', why: 'a mistake' });
    expect((await limiter.peek('open', 'ada')).remaining).toBe(3);
    expect(await limiter.block('open', 'ada')).toBe(Infinity);
    expect(await limiter.consume('open', 'ada')).toMatchObject({ reason: 'blocked', retryAfterMs: Infinity });
    expect(await limiter.unblock('open', 'ada')).toBe(true);
    expect((await limiter.consume('open', 'ada')).allowed).toBe(true);
  });

  it('holds slots by the name that the API gave them', async () => {
    const { api, limiter } = await start();
    const { slot = '' } = await limiter.consume('slots', 'ada');
    expect((await limiter.consume('slots', 'ada')).allowed).toBe(false);
    await limiter.renew('slots', 'ada', slot);
    await limiter.release('slots', 'ada', slot);
    const held = await limiter.acquire('slots', 'ada');
    expect((await api.limiter.peek('slots', 'ada')).remaining).toBe(0);
    await held?.release();
    expect((await api.limiter.peek('slots', 'ada')).remaining).toBe(1);
  });

  it('refuses a cost above the limit that the API has now, and harms no other request of the trip', async () => {
    const { api } = await start();
    const store = httpStore({ url: api.url, key: 'right', deadlineMs: 5_000 });
    const limiter = createLimiter({ store, policies: [{ name: 'open', limit: 50, windowMs: 60_000 }] });
    const [fits, tooCostly] = await Promise.all([
      limiter.consume('open', 'ada'),
      limiter.consume('open', 'bob', { cost: 50 }),
    ]);
    expect(fits).toMatchObject({ allowed: true, remaining: 2 });
    expect(tooCostly).toMatchObject({ allowed: false, reason: 'cost_above_limit', retryAfterMs: Infinity });
  });

  it('refuses a blocked subject without asking, until the block may have been lifted', async () => {
    const { api, limiter } = await start({ denyCacheMs: 60_000 });
    expect(await allowed(limiter, 'blocking', 2)).toEqual([true, false]);
    const trips = api.asked.length;
    const again = await limiter.consume('blocking', 'ada');
    expect(again).toMatchObject({ allowed: false, reason: 'blocked' });
    expect(again.retryAfterMs).toBeLessThanOrEqual(120_000);
    expect(again.resetAtMs).toBe(again.decidedAtMs + again.resetAfterMs);
    expect(api.asked.length).toBe(trips);
    await limiter.unblock('blocking', 'ada');
    await limiter.reset('blocking', 'ada');
    expect(await allowed(limiter, 'blocking', 1)).toEqual([true]);
  });

  it('asks about a blocked subject each time where nothing is to be remembered', async () => {
    const { api, limiter } = await start({ denyCacheMs: 0 });
    await allowed(limiter, 'blocking', 4);
    expect(api.asked.length).toBe(4);
  });

  it('works in a limiter of the main entry too, whose leases are then not taken', async () => {
    const api = await playApi(policies);
    const leased = { name: 'open', limit: 3, windowMs: 60_000, lease: { size: 3, ttlMs: 1_000 } } as const;
    const store = httpStore({ url: api.url, key: 'right', deadlineMs: 5_000 });
    const limiter = createWithRedis({ store, policies: [leased] });
    expect(await allowed(limiter, 'open', 4)).toEqual([true, true, true, false]);
    expect(() => createLimiter({ store, policies: [leased] })).toThrow('policies holds "open" with a lease');
    await limiter.close();
  });
});

describe('while the API does not decide', () => {
  it.each([
    ['hang', 'no_answer', 'outage'],
    ['cut', 'not_connected', 'outage'],
    [500, 'error_answer', 'outage'],
    [503, 'error_answer', 'outage'],
    [429, 'busy', 'outage'],
    [401, 'authentication', 'installation'],
    [403, 'access_denied', 'installation'],
    [404, 'unknown_command', 'installation'],
    [302, 'unknown_command', 'installation'],
    [413, 'client_error', 'installation'],
    ['<html>', 'client_error', 'installation'],
    ['{"decisions":[]}', 'client_error', 'installation'],
    ['{"decisions":[{"allowed":"yes"}]}', 'client_error', 'installation'],
  ] as const)('by %s, each policy answers as it says, and the cause %s is told once', async (mood, code, kind) => {
    const { api, limiter, faults } = await start({ deadlineMs: mood === 'hang' ? 50 : 5_000 });
    api.mood = mood;
    expect(await limiter.consume('open', 'ada')).toMatchObject({ allowed: true, reason: 'unavailable', cause: code });
    expect(await limiter.consume('closed', 'ada')).toMatchObject({ allowed: false, reason: 'unavailable' });
    expect(await allowed(limiter, 'local', 5)).toEqual([true, true, true, true, false]);
    await expect(limiter.reset('open', 'ada')).rejects.toMatchObject({ code: 'limiter_unavailable' });
    expect(faults).toMatchObject([{ code, kind }]);
    expect(String(faults[0])).not.toContain('right');
  });

  it('a wrong key is told as what it is, and no refusal of it admits where the policy is closed', async () => {
    const { limiter, faults } = await start({ key: 'wrong' });
    expect((await limiter.consume('closed', 'ada')).allowed).toBe(false);
    expect(faults).toMatchObject([{ code: 'authentication', message: 'the API does not know the key (401)' }]);
  });

  it('a key that may not reset harms no decision', async () => {
    const { api, limiter, faults } = await start();
    api.mood = 403;
    await expect(limiter.reset('open', 'ada')).rejects.toMatchObject({ cause: { code: 'access_denied' } });
    api.mood = 'decides';
    expect((await limiter.consume('open', 'ada')).reason).toBe('allowed');
    expect(faults).toMatchObject([{ code: 'access_denied' }]);
  });

  it('a policy that the API lacks harms no other', async () => {
    const { api, faults } = await start();
    const missing = { name: 'missing', limit: 3, windowMs: 60_000, onUnavailable: 'closed' } as const;
    const onError = (fault: ApiFault): void => void faults.push(fault);
    const store = httpStore({ url: api.url, key: 'right', deadlineMs: 5_000, onError });
    const limiter = createLimiter({ store, policies: [...policies, missing] });
    expect((await limiter.consume('missing', 'ada')).allowed).toBe(false);
    expect((await limiter.consume('open', 'ada')).reason).toBe('allowed');
    expect(faults).toMatchObject([{ code: 'unknown_command' }]);
  });

  it('a decision that the API made without its Redis is none', async () => {
    const { api, limiter } = await start();
    const decision = { allowed: true, policy: 'closed', reason: 'unavailable', limit: 3, remaining: 3 };
    api.mood = JSON.stringify({ decisions: [decision] });
    expect(await limiter.consume('closed', 'ada')).toMatchObject({ allowed: false, cause: 'error_answer' });
  });

  it('most are answered at once, one at a time tries again, and the first success ends it', async () => {
    const { api, limiter } = await start({ deadlineMs: 60 });
    api.mood = 'hang';
    await limiter.consume('open', 'ada');
    const trips = api.asked.length;
    await Promise.all(Array.from({ length: 50 }, () => limiter.consume('open', 'ada')));
    expect(api.asked.length).toBeLessThanOrEqual(trips + 1);
    api.mood = 'decides';
    await expect
      .poll(async () => (await limiter.consume('open', 'bob')).reason, { timeout: 20_000 })
      .not.toBe('unavailable');
  });

  it('a block that is known holds to its end', async () => {
    const { api, limiter } = await start({ denyCacheMs: 0 });
    expect(await allowed(limiter, 'blocking', 2)).toEqual([true, false]);
    api.mood = 'cut';
    expect(await limiter.consume('blocking', 'ada')).toMatchObject({ allowed: false, reason: 'blocked' });
    expect((await limiter.consume('blocking', 'bob')).allowed).toBe(true);
  });

  it('a slot that was got here is given back here', async () => {
    const { api, limiter } = await start();
    const local = {
      name: 'local',
      algorithm: 'concurrency',
      limit: 1,
      windowMs: 60_000,
      onUnavailable: 'local',
    } as const;
    const slots = createLimiter({ store: httpStore({ url: api.url, key: 'right' }), policies: [local] });
    onTestFinished(() => slots.close());
    api.mood = 'cut';
    const got = await slots.acquire('local', 'ada');
    expect(await slots.acquire('local', 'ada')).toBeUndefined();
    await got?.release();
    expect((await slots.consume('local', 'ada')).allowed).toBe(true);
    await expect(limiter.release('slots', 'ada', 'unknown-')).rejects.toMatchObject({ code: 'limiter_unavailable' });
  });

  it('processes share a local policy by the number that they were told', async () => {
    const { api, limiter } = await start({ instances: 2 });
    api.mood = 'cut';
    expect(await allowed(limiter, 'local', 3)).toEqual([true, true, false]);
  });
});

const PLAIN = 'url must begin with https://, for the key is sent along (allowPlainHttp: true sends it in clear)';

it.each([
  ['http://localhost:8787'],
  ['http://api.localhost'],
  ['http://127.0.0.1:8787/api/'],
  ['http://127.8.0.1'],
  ['http://[::1]:8787'],
  ['http://[::ffff:127.0.0.1]'],
  ['http://limits.test', { allowPlainHttp: true }],
])('%s is taken %j', (url: string, options: object = {}) => {
  expect(() => httpStore({ url, key: 'k', ...options })).not.toThrow();
});

it.each([
  [{ url: 'limits.test' }, 'url must be an http or https URL, such as https://limits.example.com'],
  [{ url: 'redis://limits.test' }, 'url must be an http or https URL, such as https://limits.example.com'],
  [{ url: 'https://user:secret@limits.test' }, 'url must have no user, password, query or fragment'],
  [{ url: 'http://limits.test' }, PLAIN],
  [{ url: 'http://10.0.0.7:8787' }, PLAIN],
  [{ url: 'http://localhost.limits.test' }, PLAIN],
  [{ url: 'http://127.0.0.1.limits.test' }, PLAIN],
  [{ url: 'http://[::2]' }, PLAIN],
  [{ url: 'HTTP://Limits.Test/path', allowPlainHttp: false }, PLAIN],
  [{ allowPlainHttp: 'yes' }, 'allowPlainHttp must be a boolean, not a string'],
  [{ key: '' }, 'key must be a key of the API, without blanks'],
  [{ key: 'secret\n' }, 'key must be a key of the API, without blanks'],
  [{ deadlineMs: 0 }, 'deadlineMs must be a whole number from 1 to 60000, not 0'],
  [{ gatherMs: 1_000 }, 'gatherMs must be a whole number from 0 to 100, not 1000'],
  [{ denyCacheMs: -1 }, 'denyCacheMs must be a whole number from 0 to 60000, not -1'],
  [{ instances: 0.5 }, 'instances must be a whole number from 1 to 1000000, not 0.5'],
  [{ deadline: 5 }, 'options.deadline is not an option'],
])('%j is refused at construction', (options, message) => {
  expect(() => httpStore({ url: 'https://limits.test', key: 'k', ...(options as object) })).toThrow(message);
});
