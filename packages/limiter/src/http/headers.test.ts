import fc from 'fast-check';
import { parseList } from 'structured-headers';
import { describe, expect, it } from 'vitest';
import { parseRateLimit } from '../../test/parse-rate-limit.ts';
import { toDecision, unavailableDecision } from '../decision.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { Decision } from '../types.ts';
import { guard } from './guard.ts';
import {
  limitMember,
  policyMember,
  type QuotaPolicy,
  rateLimitHeaders,
  type ServiceLimit,
  withRetryJitter,
} from './headers.ts';
import { denialProblem } from './problem.ts';

const standard = definePolicy({ name: 'standard', limit: 100, windowMs: 60_000 });
const NOW = 1_800_000_000_000;

describe('rateLimitHeaders', () => {
  it('tells an admitted client the policy, what is left and when it is whole again', () => {
    expect(rateLimitHeaders(toDecision(standard, 0, 50, 29_500, 0, NOW), standard)).toEqual({
      'RateLimit-Policy': '"standard";q=100;w=60',
      RateLimit: '"standard";r=50;t=30',
      'X-RateLimit-Limit': '100',
      'X-RateLimit-Remaining': '50',
      'X-RateLimit-Reset': '1800000030',
    });
  });

  it('tells a refused client when to come back, rounded up, and never earlier than RateLimit says', () => {
    const headers = rateLimitHeaders(toDecision(standard, 1, 3, 60_000, 1_001, NOW), standard);
    expect(headers).toMatchObject({ 'Retry-After': '2', RateLimit: '"standard";r=3;t=2' });
  });

  it('names no time where there is none', () => {
    const headers = rateLimitHeaders(toDecision(standard, 3, 0, Infinity, Infinity, NOW), standard);
    expect(headers).toEqual({
      'RateLimit-Policy': '"standard";q=100;w=60',
      RateLimit: '"standard";r=0',
      'X-RateLimit-Limit': '100',
      'X-RateLimit-Remaining': '0',
    });
  });

  it('keeps quiet about a policy in shadow mode and about an unreachable Redis', () => {
    const shadow = definePolicy({ ...standard, mode: 'shadow' });
    expect(rateLimitHeaders(toDecision(shadow, 1, 0, 1, 1, NOW), shadow)).toEqual({});
    expect(rateLimitHeaders(unavailableDecision(standard, 'no_answer'), standard)).toEqual({});
    const closed = definePolicy({ ...standard, onUnavailable: 'closed' });
    expect(rateLimitHeaders(unavailableDecision(closed, 'no_answer'), closed)).toEqual({ 'Retry-After': '1' });
  });

  it('rounds a window below a second up to one', () => {
    const short = definePolicy({ name: 'short', limit: 1, windowMs: 10 });
    expect(rateLimitHeaders(toDecision(short, 0, 0, 10, 0, NOW), short)['RateLimit-Policy']).toBe('"short";q=1;w=1');
  });
});

describe('rateLimitHeaders of several decisions', () => {
  const burst = definePolicy({ name: 'burst', limit: 10, windowMs: 1_000 });
  const daily = definePolicy({ name: 'daily', limit: 1_000, windowMs: 86_400_000 });
  const policies = [burst, standard, daily];

  it('lists all policies, and tells the legacy headers’ readers of the one with the smallest share left', () => {
    const decisions = [
      toDecision(burst, 0, 9, 1_000, 0, NOW),
      toDecision(standard, 0, 5, 60_000, 0, NOW),
      toDecision(daily, 0, 900, 80_000_000, 0, NOW),
    ];
    expect(rateLimitHeaders(decisions, policies)).toEqual({
      'RateLimit-Policy': '"burst";q=10;w=1, "standard";q=100;w=60, "daily";q=1000;w=86400',
      RateLimit: '"burst";r=9;t=1, "standard";r=5;t=60, "daily";r=900;t=80000',
      'X-RateLimit-Limit': '100',
      'X-RateLimit-Remaining': '5',
      'X-RateLimit-Reset': '1800000060',
    });
  });

  it('lists on a refusal only what refuses, so that Retry-After is never earlier than a t', () => {
    const decisions = [
      toDecision(burst, 1, 0, 1_000, 700, NOW),
      toDecision(standard, 1, 2, 60_000, 20_000, NOW),
      // Fits, but the others refused: its reset, far away, isn't what this client waits for.
      toDecision(daily, 4, 900, 80_000_000, 0, NOW),
    ];
    expect(rateLimitHeaders(decisions, policies)).toEqual({
      'RateLimit-Policy': '"burst";q=10;w=1, "standard";q=100;w=60, "daily";q=1000;w=86400',
      RateLimit: '"burst";r=0;t=1, "standard";r=2;t=20',
      'X-RateLimit-Limit': '100',
      'X-RateLimit-Remaining': '2',
      'X-RateLimit-Reset': '1800000060',
      'Retry-After': '20',
    });
  });
});

const writePolicies = (policies: readonly QuotaPolicy[]): string => policies.map(policyMember).join(', ');
const writeLimits = (limits: readonly ServiceLimit[]): string => limits.map(limitMember).join(', ');
const printable = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCodePoint(code)) });
const count = fc.integer({ min: 0, max: 999_999_999_999_999 });
const someCount = fc.option(count, { nil: undefined });
const policy = fc
  .tuple(printable, count, someCount)
  .map(([name, quota, windowSeconds]): QuotaPolicy =>
    windowSeconds === undefined ? { name, quota } : { name, quota, windowSeconds },
  );
const limit = fc
  .tuple(printable, count, someCount)
  .map(([name, remaining, resetSeconds]): ServiceLimit =>
    resetSeconds === undefined ? { name, remaining } : { name, remaining, resetSeconds },
  );

describe('the syntax of draft 11', () => {
  it('reads back as it was written, whatever is in the names', () => {
    fc.assert(
      fc.property(fc.array(policy, { maxLength: 5 }), fc.array(limit, { maxLength: 5 }), (policies, limits) => {
        const headers = new Headers({ 'RateLimit-Policy': writePolicies(policies), RateLimit: writeLimits(limits) });
        expect(parseRateLimit(headers)).toEqual({ policies, limits });
      }),
      { numRuns: 1_000 },
    );
  });

  it('is a List of Strings with Integers as parameters to an independent parser of RFC 9651', () => {
    fc.assert(
      fc.property(fc.array(policy, { minLength: 1, maxLength: 5 }), (policies) => {
        expect(parseList(writePolicies(policies)).map(([name, parameters]) => [name, [...parameters]])).toEqual(
          policies.map(({ name, quota, windowSeconds }) => [
            name,
            [['q', quota], ...(windowSeconds === undefined ? [] : [['w', windowSeconds]])],
          ]),
        );
      }),
      { numRuns: 1_000 },
    );
  });

  it('escapes quotes and backslashes, and percent-encodes what a String cannot hold', () => {
    expect(writeLimits([{ name: 'a"b\\c', remaining: 1 }])).toBe(String.raw`"a\"b\\c";r=1`);
    expect(writeLimits([{ name: 'größe\n\uD800', remaining: 1 }])).toBe('"gr%C3%B6%C3%9Fe%0A%EF%BF%BD";r=1');
  });

  it('never exceeds the Integers of RFC 9651', () => {
    expect(parseList(writeLimits([{ name: 'a', remaining: Number.MAX_SAFE_INTEGER }]))).toHaveLength(1);
  });
});

describe('the headers of a decision', () => {
  const duration = fc.integer({ min: 0, max: 2 ** 32 });
  const outcome = fc.constantFrom(0, 1, 2, 3);
  const decided = fc
    .tuple(outcome, fc.integer({ min: 1, max: 1_000 }), duration, duration)
    .map(([code, units, resetMs, retryMs]): [Decision, ReturnType<typeof definePolicy>] => {
      const rule = definePolicy({ name: 'p', limit: units, windowMs: 60_000 });
      const retryAfterMs = code === 0 ? 0 : retryMs;
      return [toDecision(rule, code, 0, Math.max(resetMs, retryAfterMs), retryAfterMs, 1_800_000_000_000), rule];
    });

  it('never send a client back earlier than it may come, with or without jitter', () => {
    fc.assert(
      fc.property(decided, fc.double({ min: 0, max: 1, noNaN: true }), ([decision, rule], jitter) => {
        const headers = new Headers(rateLimitHeaders(withRetryJitter(decision, jitter), rule));
        const { limits, retryAfterSeconds } = parseRateLimit(headers);
        if (decision.allowed) {
          expect(retryAfterSeconds).toBeUndefined();
          expect(limits[0]?.resetSeconds).toBe(Math.ceil(decision.resetAfterMs / 1000));
        } else {
          expect(retryAfterSeconds).toBeGreaterThanOrEqual(limits[0]?.resetSeconds ?? Infinity);
          expect(retryAfterSeconds).toBeGreaterThanOrEqual(decision.retryAfterMs / 1000);
          expect(retryAfterSeconds).toBeLessThanOrEqual(Math.ceil((decision.retryAfterMs * (1 + jitter)) / 1000));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('withRetryJitter', () => {
  const rule = definePolicy({ name: 'p', limit: 1, windowMs: 60_000 });
  const refused = toDecision(rule, 1, 0, 10_000, 10_000, 0);

  it('adds the random part of the share, to the reset too', () => {
    expect(withRetryJitter(refused, 0.5, () => 0.5)).toMatchObject({
      retryAfterMs: 12_500,
      resetAfterMs: 12_500,
      resetAtMs: 12_500,
    });
    expect(withRetryJitter(refused, 0, () => 0.99)).toBe(refused);
  });

  it('leaves alone an admitted request, a wait without end and the end of a block', () => {
    const admitted = toDecision(rule, 0, 1, 10_000, 0, 0);
    expect(withRetryJitter(admitted, 1, () => 0.99)).toBe(admitted);
    const forever = toDecision(rule, 3, 0, Infinity, Infinity, 0);
    expect(withRetryJitter(forever, 1, () => 0.99)).toBe(forever);
    expect(withRetryJitter(toDecision(rule, 3, 0, 5_000, 5_000, 0), 1, () => 0.5).blockedUntilMs).toBe(5_000);
  });
});

const burst = definePolicy({ name: 'burst', limit: 10, windowMs: 1_000, onUnavailable: 'closed' });
const daily = definePolicy({ name: 'daily', limit: 1_000, windowMs: 86_400_000 });
const kind = (name: string): string => `https://iana.org/assignments/http-problem-types#${name}`;

describe('denialProblem', () => {
  it('is quota-exceeded where a window is full', () => {
    expect(denialProblem(toDecision(burst, 1, 2, 900, 400, NOW))).toEqual({
      status: 429,
      type: kind('quota-exceeded'),
      title: 'Rate limit exceeded',
      detail: 'The limit of 10 is used up. Try again in 1 s.',
      'violated-policies': ['burst'],
      error: 'Rate limit exceeded',
      limit: 10,
      remaining: 2,
      retryAfter: 1,
    });
  });

  it('is abnormal-usage-detected behind a block, with its end where there is one', () => {
    expect(denialProblem(toDecision(burst, 3, 0, 5_000, 5_000, NOW))).toMatchObject({
      status: 429,
      type: kind('abnormal-usage-detected'),
      detail: 'A block is in force. Try again in 5 s.',
      blockedUntil: '2027-01-15T08:00:05.000Z',
    });
    const forever = denialProblem(toDecision(burst, 3, 0, Infinity, Infinity, NOW));
    expect(forever).toMatchObject({ detail: 'A block is in force. No end is set.', retryAfter: null });
    expect(forever).not.toHaveProperty('blockedUntil');
  });

  it('is temporary-reduced-capacity where no decision could be had', () => {
    expect(denialProblem(unavailableDecision(burst, 'no_answer'))).toMatchObject({
      status: 503,
      type: kind('temporary-reduced-capacity'),
      retryAfter: 1,
    });
  });

  it('names all violated policies of one request and speaks of the longest wait', () => {
    const full = toDecision(burst, 1, 0, 900, 400, NOW);
    const used = toDecision(daily, 1, 3, 3_600_000, 1_800_000, NOW);
    const fits = toDecision(definePolicy({ ...burst, name: 'other' }), 4, 5, 100, 0, NOW);
    expect(denialProblem([full, used, fits])).toMatchObject({
      status: 429,
      type: kind('quota-exceeded'),
      'violated-policies': ['burst', 'daily'],
      limit: 1_000,
      retryAfter: 1_800,
    });
    expect(denialProblem([unavailableDecision(burst, 'no_answer'), used])).toMatchObject({
      status: 429,
      'violated-policies': ['daily'],
    });
  });
});

it('says nothing in headers or body of who was refused', async () => {
  const limiter = createLimiter({
    store: memoryStore(),
    policies: [definePolicy({ name: 'one', limit: 1, windowMs: 60_000 })],
  });
  const options = { limiter, policy: 'one', identify: () => 'ip:192.0.2.7' };
  const request = new Request('http://api.test/', { headers: { 'X-API-Key': 'sk-secret' } });
  await guard(request, options);
  const result = await guard(request, options);
  if (result.kind !== 'refused') throw new Error('it was admitted');
  const everything = JSON.stringify([...result.response.headers]) + (await result.response.text());
  expect(everything).not.toMatch(/192\.0\.2\.7|sk-secret|;pk=/);
});
