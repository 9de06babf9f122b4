import type { CircuitOpenError, RefusingState } from '../errors.ts';
import type { Outcome } from '../outcome/outcome.ts';

/** Whether a call may go. */
export type Permit =
  | { readonly kind: 'flow' }
  /** As one of few; its outcome must be told, exactly once. */
  | { readonly kind: 'probe'; readonly settle: (outcome: Outcome) => void }
  | { readonly kind: 'refused'; readonly state: RefusingState; readonly retryAfterMs: number }
  /** The store has to be asked. */
  | { readonly kind: 'ask' };

/** Like any other. */
export const flow: Permit = { kind: 'flow' };

/** Ask the store. */
export const ask: Permit = { kind: 'ask' };

const settled = Promise.resolve();

/**
 * Rejects a microtask from now, when the caller who awaits it has a handler on it already. One that is rejected before
 * that goes through the process' bookkeeping of unhandled rejections, there and back, which costs half a µs.
 */
export async function rejectedSoon(error: CircuitOpenError): Promise<never> {
  await settled;
  throw error;
}
