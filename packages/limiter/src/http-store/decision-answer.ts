import { ApiFault } from '@spillway/redis/core';
import type { Decision, DecisionReason } from '../types.ts';

const REASONS: ReadonlySet<unknown> = new Set<DecisionReason>([
  'allowed',
  'limited',
  'blocked',
  'shadow',
  'withheld',
  'cost_above_limit',
  'unavailable',
  'allow_listed',
  'deny_listed',
]);

/** The decisions of an answer with a list of them. @throws {ApiFault} unless there are exactly `count`. */
export function readDecisions(answer: unknown, count: number): readonly Decision[] {
  const list: unknown = isObject(answer) ? answer['decisions'] : undefined;
  if (!Array.isArray(list) || list.length !== count) throw new ApiFault('client_error', 'decisions');
  return list.map(readDecision);
}

/**
 * A decision as the API sends it: null stands for a time that never comes. One that the API made without its Redis is a fault.
 * @throws {ApiFault}
 */
export function readDecision(answer: unknown): Decision {
  if (!isObject(answer)) throw new ApiFault('client_error', 'decision');
  const { allowed, policy, reason, blockedUntil, nearLimit, slot, source } = answer;
  if (typeof allowed !== 'boolean' || typeof policy !== 'string' || !isReason(reason)) {
    throw new ApiFault('client_error', 'decision');
  }
  if (reason === 'unavailable') throw new ApiFault('error_answer', 'its Redis is away');
  return {
    allowed,
    policy,
    reason,
    limit: numberOf(answer, 'limit'),
    remaining: numberOf(answer, 'remaining'),
    resetAt: timeOf(answer, 'resetAt'),
    resetAfterMs: timeOf(answer, 'resetAfterMs'),
    retryAfterMs: timeOf(answer, 'retryAfterMs'),
    ...(source === 'local' ? { source } : {}),
    ...(blockedUntil === undefined ? {} : { blockedUntil: timeOf(answer, 'blockedUntil') }),
    ...(typeof nearLimit === 'boolean' ? { nearLimit } : {}),
    ...(typeof slot === 'string' ? { slot } : {}),
  };
}

function isReason(value: unknown): value is DecisionReason {
  return REASONS.has(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function numberOf(answer: Record<string, unknown>, name: string): number {
  const value = answer[name];
  if (typeof value !== 'number') throw new ApiFault('client_error', name);
  return value;
}

function timeOf(answer: Record<string, unknown>, name: string): number {
  return answer[name] === null ? Infinity : numberOf(answer, name);
}
