import { type AlgorithmSpec, MAX_LIMIT, type WindowOption } from '../algorithm.ts';
import { fixedWindow as counter } from './memory.ts';

/** The rule of a policy whose window begins with its first unit. */
export interface FixedWindowRule {
  readonly algorithm: 'fixed-window';
}

/** May admit twice its limit in a trailing window. */
export interface FixedWindowOptions extends WindowOption {
  readonly algorithm: 'fixed-window';
}

/** A count that begins again a window after its first unit; README.md beside it explains it. */
export const fixedWindow: AlgorithmSpec<FixedWindowRule> = {
  name: 'fixed-window',
  options: [],
  refuses: {},
  maxLimit: MAX_LIMIT,
  holdsSlots: false,
  sentAlike: true,
  rule: () => ({ algorithm: 'fixed-window' }),
  parameter: () => 0,
  text: ({ windowMs }, { spareMs }) => String(windowMs + spareMs),
  counter,
};
