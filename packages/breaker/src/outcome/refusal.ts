import { CircuitOpenError } from '../errors.ts';
import { isInstance, linksOf, member, textMember } from './read.ts';

const REFUSAL_CODES = new Set([
  'circuit_open',
  'EOPENBREAKER',
  'ESEMLOCKED',
  'ESHUTDOWN',
  'wait_exceeded',
  'limiter_unavailable',
  'limiter_closed',
  'breakers_not_configured',
  'rate_limit_not_configured',
]);
const REFUSAL_MARKS = ['isBulkheadRejectedError', 'isBrokenCircuitError', 'isIsolatedCircuitError'];
const REFUSAL_NAMES = new Set([
  'BulkheadRejectedError',
  'BrokenCircuitError',
  'IsolatedCircuitError',
  'QueueFullError',
  'BottleneckError',
  'BreakerInputError',
  'LimiterInputError',
]);

/**
 * Whether an error says that the dependency was never asked: a breaker, a limiter, a bulkhead or a queue in between
 * refused. Such a refusal must not count, or a healthy dependency would be cut off because we are busy. Known by code
 * (ours, opossum's), by mark (cockatiel's), by name, or by its members (rate-limiter-flexible's); in the error itself, in
 * what it wraps, and where several tries were all refused.
 */
export function isRefusal(error: unknown): boolean {
  return linksOf(error).some((link) => isRefusalItself(link) || areAllRefusals(member(link, 'errors')));
}

function areAllRefusals(errors: unknown): boolean {
  return Array.isArray(errors) && errors.length > 0 && errors.every(isRefusalItself);
}

function isRefusalItself(error: unknown): boolean {
  if (isInstance(error, CircuitOpenError) || REFUSAL_NAMES.has(textMember(error, 'name'))) return true;
  if (REFUSAL_CODES.has(textMember(error, 'code'))) return true;
  if (REFUSAL_MARKS.some((mark) => member(error, mark) === true)) return true;
  return typeof member(error, 'msBeforeNext') === 'number' && typeof member(error, 'remainingPoints') === 'number';
}
