import fc from 'fast-check';
import { parseList } from 'structured-headers';
import { describe, expect, it } from 'vitest';
import { parseRateLimit } from '../../test/parse-rate-limit.ts';
import { toDecision } from '../decision.ts';
import { definePolicy } from '../policy.ts';
import type { Decision } from '../types.ts';
import {
  limitMember,
  policyMember,
  type QuotaPolicy,
  rateLimitHeaders,
  type ServiceLimit,
  withRetryJitter,
} from './headers.ts';

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
