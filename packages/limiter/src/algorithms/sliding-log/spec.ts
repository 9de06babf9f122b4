import { type AlgorithmSpec, MAX_LOG_LIMIT, type WindowOption } from '../algorithm.ts';
import { slidingLog as counter } from './memory.ts';

/** The rule of a policy that keeps the time of each unit. */
export interface SlidingLogRule {
  readonly algorithm: 'sliding-log';
}

/** Exact; takes 5 bytes a unit. */
export interface SlidingLogOptions extends WindowOption {
  readonly algorithm: 'sliding-log';
}

/** The exact sliding log; README.md beside it explains it. */
export const slidingLog: AlgorithmSpec<SlidingLogRule> = {
  name: 'sliding-log',
  options: [],
  refuses: {},
  maxLimit: MAX_LOG_LIMIT,
  holdsSlots: false,
  sentAlike: true,
  rule: () => ({ algorithm: 'sliding-log' }),
  grainMs: () => 0,
  parameter: () => 0,
  text: ({ windowMs }, { spareMs }) => String(2 * windowMs + spareMs),
  counter,
};
