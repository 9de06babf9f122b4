import { type RedisFault, redisFault } from './fault.ts';
import { warn as warnOf } from './platform.ts';

/** An outage that is over. */
export interface RecoveredOutage {
  /** From the first decision without Redis to the first with it, in ms. */
  readonly durationMs: number;
  /** How many decisions, or exchanges with Redis, failed. */
  readonly failures: number;
}

/** Callbacks for the begin and the end of an outage. */
export interface FaultListeners {
  /**
   * Called once per cause of an outage, at the first decision without Redis. @default a process warning
   * per cause, and one when Redis is available again
   */
  readonly onError?: ((error: RedisFault) => void) | undefined;
  /** Called once when Redis is available again, at least a second after the last failure. @default none */
  readonly onRecovered?: ((outage: RecoveredOutage) => void) | undefined;
}

/** What a {@link FaultReporter} is made of. */
export interface FaultReporterOptions extends FaultListeners {
  /** Name in the warnings, such as `limiter`. */
  readonly who: string;
  /** What makes the decisions. @default 'Redis' */
  readonly decider?: string;
  /** How decisions are made during the outage, as a sentence. */
  readonly meanwhile: string;
}

/** Reports an outage: once per cause, and once when it is over. */
export interface FaultReporter {
  /** Something was decided without Redis. */
  failed(fault: RedisFault): void;
  /** Redis decided. */
  answered(): void;
  /** Something other than a decision failed, such as a subscription: reported once per cause. */
  note(error: unknown, what: string): void;
}

/** An outage is over once Redis has answered without a failure for this time, in ms: a reply of one shard doesn't end an outage of another. */
const QUIET_MS = 1_000;

interface Outage {
  readonly sinceMs: number;
  readonly causes: Set<RedisFault['code']>;
  lastMs: number;
  failures: number;
}

/** Makes a {@link FaultReporter}. While all is well it does nothing. What a listener throws becomes a warning. */
export function faultReporter({
  who,
  decider = 'Redis',
  meanwhile,
  onError,
  onRecovered,
}: FaultReporterOptions): FaultReporter {
  const noted = new Set<string>();
  let outage: Outage | undefined;

  function warn(message: string, code: string): void {
    warnOf(`${who}: ${message}`, { code: `SPILLWAY_${code.toUpperCase()}` });
  }

  function failed(error: unknown): void {
    warn(`a listener failed: ${thrownText(error)}`, 'listener');
  }

  function report(fault: RedisFault, what: string): void {
    if (onError === undefined) warn(`${fault.message}. ${what}`, fault.code);
    else tell(() => onError(fault), failed);
  }

  return {
    failed(fault) {
      const now = performance.now();
      outage ??= { sinceMs: now, causes: new Set(), lastMs: now, failures: 0 };
      outage.lastMs = now;
      outage.failures += 1;
      if (outage.causes.has(fault.code)) return;
      outage.causes.add(fault.code);
      report(fault, meanwhile);
    },
    answered() {
      if (outage === undefined) return;
      const now = performance.now();
      if (now - outage.lastMs < QUIET_MS) return;
      const { sinceMs, failures } = outage;
      outage = undefined;
      const durationMs = Math.round(now - sinceMs);
      if (onRecovered !== undefined) tell(() => onRecovered({ durationMs, failures }), failed);
      else if (onError === undefined)
        warn(`${decider} decides again after ${durationMs} ms and ${failures} failures`, 'recovered');
    },
    note(error, what) {
      const fault = redisFault(error);
      const name = `${fault.code} ${what}`;
      if (noted.has(name)) return;
      noted.add(name);
      report(fault, what);
    },
  };
}

/**
 * Calls a function of the program's so that neither its exceptions nor its rejections reach the decision or the call that it is
 * told of: a rejection that nothing handles ends a process of Node's.
 * @param failed gets what was thrown; it must not throw itself.
 */
export function tell(listener: () => unknown, failed: (error: unknown) => void): void {
  try {
    const result = listener();
    if (typeof result === 'object' && result !== null) void Promise.resolve(result).then(undefined, failed);
  } catch (error) {
    failed(error);
  }
}

/** The text of something thrown. Never throws, whatever it is: an object without a prototype has no text. */
export function thrownText(error: unknown): string {
  try {
    return String(error);
  } catch {
    return 'a value without a text';
  }
}
