import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { limitRequest } from '../http/limit-request.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import type { LivePolicies } from '../live/live-policies.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';

const policies = [
  definePolicy({ name: 'uploads', limit: 2, windowMs: 60_000 }),
  definePolicy({ name: 'watched', limit: 2, windowMs: 60_000, mode: 'shadow' }),
  definePolicy({ name: 'renders', algorithm: 'concurrency', limit: 1, windowMs: 60_000 }),
];

let limiter: Limiter & { readonly live: LivePolicies };
let seen: string[];
beforeEach(async () => {
  seen = [];
  const metrics = { decision: ({ outcome }: { outcome: string }) => void seen.push(outcome) };
  limiter = createLimiter<typeof policies>({ store: memoryStore(), policies, live: true, metrics });
  await limiter.live.allow('friend');
  await limiter.live.deny('foe');
});
afterEach(() => limiter.close());

describe('who is on a list', () => {
  it('is counted in the metrics, without a window', async () => {
    await limiter.consume('uploads', 'friend');
    await limiter.consume('uploads', 'foe');
    await limiter.peek('uploads', 'foe');
    expect(seen).toEqual(['allow_listed', 'deny_listed']);
  });

  it('is not refused by a policy that only watches', async () => {
    expect(await limiter.consume('watched', 'foe')).toMatchObject({ allowed: true, reason: 'shadow' });
  });

  it('and allowed takes no part in a group, whose others are charged', async () => {
    const group = [
      { policy: 'uploads', subject: 'friend', cost: 2 },
      { policy: 'uploads', subject: 'u', cost: 2 },
    ] as const;
    const first = await limiter.consumeAll(group);
    expect(first.decisions.map(({ reason }) => reason)).toEqual(['allow_listed', 'allowed']);
    const second = await limiter.consumeAll(group);
    expect(second).toMatchObject({ allowed: false, refusedBy: ['uploads'] });
    expect(second.decisions.map(({ reason }) => reason)).toEqual(['withheld', 'limited']);
    expect(await limiter.consumeAll([group[0]])).toMatchObject({ allowed: true });
  });

  it('and denied refuses its group, and nobody is charged', async () => {
    const { allowed, decisions, retryAfterMs } = await limiter.consumeAll([
      { policy: 'uploads', subject: 'u' },
      { policy: 'uploads', subject: 'foe' },
    ]);
    expect(allowed).toBe(false);
    expect(decisions.map(({ reason }) => reason)).toEqual(['withheld', 'deny_listed']);
    expect(retryAfterMs).toBe(Infinity);
    expect(await limiter.peek('uploads', 'u')).toMatchObject({ remaining: 2 });
  });

  it('waits for nothing', async () => {
    await limiter.consume('uploads', 'friend', { cost: 2 });
    await expect(limiter.waitFor('uploads', 'friend', { maxWaitMs: 0 })).resolves.toMatchObject({ allowed: true });
    await expect(limiter.waitFor('uploads', 'foe', { maxWaitMs: 5_000 })).rejects.toMatchObject({
      code: 'wait_exceeded',
    });
  });

  it('holds as many slots as it likes, or none', async () => {
    const held = await Promise.all([limiter.acquire('renders', 'friend'), limiter.acquire('renders', 'friend')]);
    expect(held.map((one) => one?.decision.reason)).toEqual(['allow_listed', 'allow_listed']);
    for (const one of held) await one?.release();
    expect(await limiter.acquire('renders', 'foe')).toBeUndefined();
  });

  it('still must ask properly', async () => {
    await limiter.live.allow('*');
    await expect(limiter.consume('uploads', '')).rejects.toMatchObject({ field: 'subject' });
    await expect(limiter.consume('uploads', 'friend', { cost: 3 })).rejects.toMatchObject({ field: 'cost' });
    await expect(limiter.consume('nothing', 'friend')).rejects.toMatchObject({ field: 'policy' });
  });
});

const request = new Request('http://x/');
const from = (subject: string) =>
  limitRequest(request, { limiter, policy: 'uploads', identify: () => subject }, { of: request });

describe('over HTTP', () => {
  it('the deny list answers with a problem, and names no time to come back', async () => {
    const verdict = await from('foe');
    expect(verdict).toMatchObject({ kind: 'refused', problem: { status: 429, 'violated-policies': ['uploads'] } });
    if (verdict.kind === 'refused') expect(verdict.problem.type).toContain('abnormal-usage-detected');
    expect(verdict.headers).not.toHaveProperty('Retry-After');
  });

  it('headers tell the limit that holds for the subject', async () => {
    await limiter.live.setOverride({ policy: 'uploads', subject: 'vip', limit: 50 });
    const { headers } = await from('vip');
    expect(headers['RateLimit-Policy']).toBe('"uploads";q=50;w=60');
    expect(headers['X-RateLimit-Limit']).toBe('50');
  });
});
