import { describe, expect, it } from 'vitest';
import { toDecision, unavailableDecision } from '../decision.ts';
import { definePolicy } from '../policy.ts';
import { rateLimitHeaders } from './headers.ts';

const policy = definePolicy({ name: 'standard', limit: 100, windowMs: 60_000 });
const NOW = 1_800_000_000_000;

describe('rateLimitHeaders', () => {
  it('tells an admitted client the policy, what is left and when it is whole again', () => {
    expect(rateLimitHeaders(toDecision(policy, 0, 50, 29_500, 0, NOW), policy)).toEqual({
      'RateLimit-Policy': '"standard";q=100;w=60',
      RateLimit: '"standard";r=50;t=30',
      'X-RateLimit-Limit': '100',
      'X-RateLimit-Remaining': '50',
      'X-RateLimit-Reset': '1800000030',
    });
  });

  it('tells a refused client when to come back, rounded up, and never earlier than RateLimit says', () => {
    const headers = rateLimitHeaders(toDecision(policy, 1, 3, 60_000, 1_001, NOW), policy);
    expect(headers).toMatchObject({ 'Retry-After': '2', RateLimit: '"standard";r=3;t=2' });
  });

  it('names no time where there is none', () => {
    const headers = rateLimitHeaders(toDecision(policy, 3, 0, Infinity, Infinity, NOW), policy);
    expect(headers).toEqual({
      'RateLimit-Policy': '"standard";q=100;w=60',
      RateLimit: '"standard";r=0',
      'X-RateLimit-Limit': '100',
      'X-RateLimit-Remaining': '0',
    });
  });

  it('keeps quiet about a policy in shadow mode and about an unreachable Redis', () => {
    const shadow = definePolicy({ ...policy, mode: 'shadow' });
    expect(rateLimitHeaders(toDecision(shadow, 1, 0, 1, 1, NOW), shadow)).toEqual({});
    expect(rateLimitHeaders(unavailableDecision(policy, 'no_answer'), policy)).toEqual({});
    const closed = definePolicy({ ...policy, onUnavailable: 'closed' });
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
  const policies = [burst, policy, daily];

  it('lists all policies, and tells the legacy headers’ readers of the one with the smallest share left', () => {
    const decisions = [
      toDecision(burst, 0, 9, 1_000, 0, NOW),
      toDecision(policy, 0, 5, 60_000, 0, NOW),
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
      toDecision(policy, 1, 2, 60_000, 20_000, NOW),
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
