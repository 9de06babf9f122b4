import type { LoadSecond } from './load/messages.ts';
import type { Plan } from './plan.ts';
import type { Fleet, HeardState } from './processes/fleet.ts';
import type { Sampler } from './sampler.ts';
import type { Stack } from './stack.ts';

/** Something that was done to the fleet. */
export interface Incident {
  readonly atMs: number;
  readonly what: string;
}

/** What a run is told. */
export interface RunOptions {
  readonly plan: Plan;
  readonly onProgress: (line: string) => void;
  /** Aborted when the run is not wanted any more; then it stops everything and rejects with the reason, in whatever phase it is. */
  readonly signal: AbortSignal;
}

/** Everything that a run plays with, and what it has seen so far. */
export interface RunContext extends RunOptions {
  readonly stack: Stack;
  readonly fleet: Fleet;
  readonly sampler: Sampler;
  readonly heard: readonly HeardState[];
  readonly seconds: LoadSecond[];
  readonly incidents: Incident[];
}

const POLL_MS = 50;

/** Writes down what was done to the fleet. */
export function note({ incidents, onProgress }: RunContext, what: string): void {
  incidents.push({ atMs: Date.now(), what });
  onProgress(what);
}

/** Waits for a condition at most `limitMs`; the checks report whether it was met. */
export async function until({ signal }: RunContext, limitMs: number, happened: () => boolean): Promise<void> {
  const end = performance.now() + limitMs;
  while (!happened() && performance.now() < end) await wait(POLL_MS, signal);
}

/** Rejects when the signal is aborted. @throws the reason of the abort */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(reasonOf(signal));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

/** Waits. @throws the reason of the abort */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(reasonOf(signal));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

function reasonOf({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}
