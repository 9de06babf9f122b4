import { expect, it } from 'vitest';
import { decisionWith } from './decision.ts';
import type { Decision } from './types.ts';

const whole: Required<Decision> = {
  allowed: false,
  policy: 'p',
  reason: 'blocked',
  limit: 10,
  remaining: 1,
  decidedAtMs: 1.5,
  resetAtMs: 7.5,
  resetAfterMs: 6,
  retryAfterMs: 5,
  blockedUntilMs: 6.5,
  nearLimit: false,
  slot: 'abcdefgh',
  source: 'local',
  cause: 'no_answer',
};

it('a copy with more to it has all members of the decision, and no others', () => {
  expect(decisionWith(whole, {})).toStrictEqual(whole);
  expect(decisionWith(whole, { nearLimit: true })).toStrictEqual({ ...whole, nearLimit: true });
  const { blockedUntilMs, nearLimit, slot, source, cause, ...plain } = whole;
  expect([blockedUntilMs, nearLimit, cause]).toEqual([6.5, false, 'no_answer']);
  expect(decisionWith(plain, { slot })).toStrictEqual({ ...plain, slot });
  expect(decisionWith(plain, { source, cause })).toStrictEqual({ ...plain, source, cause });
});
