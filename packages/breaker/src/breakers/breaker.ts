import { wholeNumberWithin } from '../checks.ts';
import type { Engine } from '../engine/engine.ts';
import { BreakerInputError, shown } from '../errors.ts';
import type { StateName } from '../metrics.ts';
import { MAX_TIME_MS } from '../presets/preset.ts';
import type { BreakerSnapshot, Looks } from './snapshots.ts';

/** Who moves a breaker by hand, and why: both go into the audit trail. */
export interface ManualChange {
  /** 1 to 200 characters, such as `user:ada@example.com`. @default the breakers' `actor` */
  readonly who?: string;
  /** Up to 500 characters. @default '' */
  readonly why?: string;
}

/** A state that a person chooses. */
export interface ForcedChange extends ManualChange {
  /** After this time, in ms, at most a day, the breaker closes and decides by itself again. @default no expiry */
  readonly forMs?: number;
}

/**
 * One breaker, to look at and to move by hand. A change holds for the whole fleet, and is a row of
 * `circuit_breaker_events` and one of `spillway.changes`.
 */
export interface Breaker {
  readonly name: string;
  readonly preset: string;
  /** The state that calls of this process meet now. */
  readonly state: StateName;
  /** What this process knows about the breaker, without a call to Redis. */
  snapshot(): BreakerSnapshot;
  /**
   * The same after reading Redis; the last known state if Redis doesn't answer (`isStale` is true then). Of a breaker that was never
   * used it says so (`epoch` is 0), and leaves no trace.
   */
  read(): Promise<BreakerSnapshot>;
  /** Refuses all calls. @throws {StoreUnavailableError} @throws {BreakerInputError} */
  forceOpen(change?: ForcedChange): Promise<void>;
  /** Lets all calls pass, whatever becomes of them. @throws {StoreUnavailableError} @throws {BreakerInputError} */
  forceClosed(change?: ForcedChange): Promise<void>;
  /** Closes it with nothing counted, also when it was forced. @throws {StoreUnavailableError} @throws {BreakerInputError} */
  reset(change?: ManualChange): Promise<void>;
}

const MAX_WHO = 200;
const MAX_WHY = 500;

/** What a {@link Breaker} is made of. */
export interface HandleParts {
  readonly name: string;
  readonly preset: string;
  /** Makes the breaker if there is none. */
  readonly engine: () => Engine;
  /** Make none. */
  readonly looks: Looks;
  /** Actor of changes that name none. */
  readonly actor: string;
}

/** Makes a handle. */
export function breakerHandle({ name, preset, engine, looks, actor }: HandleParts): Breaker {
  const checked = ({ who = actor, why = '' }: ManualChange): { who: string; why: string } => {
    checkText('who', who, 1, MAX_WHO);
    checkText('why', why, 0, MAX_WHY);
    return { who, why };
  };
  const force = async (target: 'forced_open' | 'forced_closed', change: ForcedChange): Promise<void> => {
    const { forMs = 0 } = change;
    if (change.forMs !== undefined) wholeNumberWithin('forMs', forMs, 1, MAX_TIME_MS);
    await engine().member.command({ type: 'force', target, forMs, ...checked(change) });
  };
  return {
    name,
    preset,
    get state() {
      return looks.snapshot(name, preset).state;
    },
    snapshot: () => looks.snapshot(name, preset),
    read: () => looks.look({ preset, name }),
    forceOpen: (change = {}) => force('forced_open', change),
    forceClosed: (change = {}) => force('forced_closed', change),
    reset: async (change = {}) => engine().member.command({ type: 'reset', ...checked(change) }),
  };
}

/** @throws {BreakerInputError} unless it is a valid actor. */
export function checkActor(field: string, value: unknown): asserts value is string {
  checkText(field, value, 1, MAX_WHO);
}

function checkText(field: string, value: unknown, min: number, max: number): asserts value is string {
  if (typeof value !== 'string' || value.length < min || value.length > max || !value.isWellFormed()) {
    throw new BreakerInputError(field, `must be a string of ${min} to ${max} characters, not ${shown(value)}`);
  }
}
