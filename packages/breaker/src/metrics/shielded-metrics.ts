import { BreakerInputError, shown } from '../errors.ts';
import { errorText } from '../outcome/error-text.ts';
import { isInstance } from '../outcome/read.ts';
import type { BreakerMetrics } from './metrics.ts';

const CALLBACKS = ['state', 'call', 'transition', 'lease', 'flush', 'outage'] as const;

/**
 * Checks a caller's metrics and keeps what they throw, or reject with, away from the calls that they are told of. The first
 * error becomes a process warning, later ones are dropped: a callback that fails mostly does so every time.
 * @throws {BreakerInputError} when a callback is missing.
 */
export function shieldedMetrics(metrics: BreakerMetrics): BreakerMetrics {
  if (typeof metrics !== 'object' || metrics === null) {
    throw new BreakerInputError('metrics', `must be an object, not ${shown(metrics)}`);
  }
  for (const name of CALLBACKS) {
    const callback: unknown = metrics[name];
    if (typeof callback !== 'function') {
      throw new BreakerInputError(`metrics.${name}`, `must be a function, not ${shown(callback)}`);
    }
  }
  let warned = false;
  const warn = (error: unknown): void => {
    if (warned) return;
    warned = true;
    process.emitWarning(`a metrics callback of the breakers threw: ${errorText(error)}`, 'SpillwayWarning');
  };
  const shielded =
    <Args extends readonly unknown[]>(callback: (...args: Args) => unknown) =>
    (...args: Args): void => {
      try {
        const given = callback(...args);
        if (isInstance(given, Promise)) given.catch(warn);
      } catch (error) {
        warn(error);
      }
    };
  return {
    state: shielded((name, preset, state) => metrics.state(name, preset, state)),
    call: shielded((name, preset, outcome, durationMs) => metrics.call(name, preset, outcome, durationMs)),
    transition: shielded((name, preset, from, to, reason) => metrics.transition(name, preset, from, to, reason)),
    lease: shielded((name, preset, event) => metrics.lease(name, preset, event)),
    flush: shielded((flush) => metrics.flush(flush)),
    outage: shielded((outage) => metrics.outage(outage)),
    forget: shielded((name, preset) => metrics.forget?.(name, preset)),
  };
}
