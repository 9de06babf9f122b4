import { CircuitOpenError } from '../errors.ts';

const REFUSAL_CODES = new Set(['circuit_open', 'EOPENBREAKER', 'ESEMLOCKED', 'ESHUTDOWN']);
const REFUSAL_MARKS = ['isBulkheadRejectedError', 'isBrokenCircuitError', 'isIsolatedCircuitError'];
const REFUSAL_NAMES = new Set([
  'BulkheadRejectedError',
  'BrokenCircuitError',
  'IsolatedCircuitError',
  'QueueFullError',
]);

/**
 * Whether an error says that the dependency was never asked: a breaker, a bulkhead or a queue in between refused. Such a
 * refusal must not count, or a healthy dependency would be cut off because we are busy. Known by code (ours, opossum's), by
 * mark (cockatiel's) or by name.
 */
export function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof CircuitOpenError || REFUSAL_NAMES.has(error.name)) return true;
  if ('code' in error && typeof error.code === 'string' && REFUSAL_CODES.has(error.code)) return true;
  return REFUSAL_MARKS.some((mark) => mark in error);
}
