import { type AlgorithmSpec, MAX_LOG_LIMIT, type WindowOption } from '../algorithm.ts';
import { concurrency as counter } from './memory.ts';

/** Bytes of a slot's id. */
const SLOT_BYTES = 8;

/** The rule of a policy that limits how many go on at once. */
export interface ConcurrencyRule {
  readonly algorithm: 'concurrency';
}

/** Limits how many go on at once. */
export interface ConcurrencyOptions extends WindowOption {
  readonly algorithm: 'concurrency';
}

/** Slots that are held for a time; README.md beside it explains it. */
export const concurrency: AlgorithmSpec<ConcurrencyRule> = {
  name: 'concurrency',
  options: [],
  refuses: { blockMs: 'must be 0: a policy of slots does not block' },
  maxLimit: MAX_LOG_LIMIT,
  holdsSlots: true,
  sentAlike: true,
  rule: () => ({ algorithm: 'concurrency' }),
  parameter: () => 0,
  text: (_policy, { slot }) => slot ?? ' '.repeat(SLOT_BYTES),
  counter,
};
