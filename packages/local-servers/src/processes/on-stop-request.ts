import { whenPackageManagerDies } from './package-manager.ts';

/** By what a program is asked to end: the terminal, a supervisor, a terminal that was closed. */
export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** What {@link onStopRequest} does. */
export interface StopRequestOptions {
  /** Whether a package manager started this program: its death counts as a SIGTERM. */
  readonly underPackageManager: boolean;
  /** Called once, by the first request. */
  readonly stop: (signal: StopSignal) => void;
  /** Called by each further request: somebody insists. */
  readonly insist: (signal: StopSignal) => void;
}

/** Ctrl-C reaches a program from the terminal, and again from a package manager that passes it on: that is one, not two. */
const SAME_SIGNAL_MS = 700;

/** For the `main.ts` of a program that started servers: tells it when to end, from wherever that is asked. */
export function onStopRequest({ underPackageManager, stop, insist }: StopRequestOptions): void {
  let askedAt: number | undefined;
  const ask = (signal: StopSignal): void => {
    const now = performance.now();
    if (askedAt === undefined) {
      askedAt = now;
      stop(signal);
    } else if (now - askedAt > SAME_SIGNAL_MS) insist(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => ask(signal));
  if (underPackageManager) whenPackageManagerDies(() => ask('SIGTERM'));
}
