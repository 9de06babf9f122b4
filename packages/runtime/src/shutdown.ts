import { constants } from 'node:os';
import { fatalLine, type GuardedLogger } from './guard-logger.ts';
import { whenPackageManagerDies } from './processes.ts';

/** The signals that ask a program to end: from a supervisor, by Ctrl-C, by a terminal that was closed. */
export type StopSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP';

/** A person starts the program: SIGHUP ends it too. For a service it stays as it is, so that `nohup` works. */
export interface Terminal {
  /** Whether a package manager started this program: then the death of any of those above it counts as a SIGTERM. */
  readonly underPackageManager: boolean;
}

/** What {@link onStopRequest} does. */
export interface StopRequestOptions {
  /** Called once, by the first request. */
  readonly stop: (signal: StopSignal) => void;
  /** Of a program that a person starts. @default none: a service */
  readonly terminal?: Terminal | undefined;
}

/**
 * A signal this soon after the first is the same one: Ctrl-C reaches the whole process group, and npm or pnpm passes it on
 * to their child once more. In ms.
 */
const SAME_SIGNAL_MS = 500;

/**
 * Takes over the signals that ask this process to end. The first calls `stop`; another, half a second later or more, ends the
 * process at once, with 128 plus the signal's number.
 *
 * @returns a function that gives the signals back to Node
 */
export function onStopRequest({ stop, terminal }: StopRequestOptions): () => void {
  let askedAtMs: number | undefined;
  const ask = (signal: StopSignal): void => {
    if (askedAtMs === undefined) {
      askedAtMs = performance.now();
      stop(signal);
    } else if (performance.now() - askedAtMs >= SAME_SIGNAL_MS) process.exit(128 + constants.signals[signal]);
  };
  const signals: readonly StopSignal[] = ['SIGTERM', 'SIGINT', ...(terminal === undefined ? [] : ['SIGHUP' as const])];
  const listeners = signals.map((signal) => ({ signal, listener: (): void => ask(signal) }));
  for (const { signal, listener } of listeners) process.on(signal, listener);
  if (terminal?.underPackageManager === true) whenPackageManagerDies(() => ask('SIGTERM'));
  return () => {
    for (const { signal, listener } of listeners) process.off(signal, listener);
  };
}

/**
 * Until {@link shutDownInOrder} takes over, a signal that asks this process to end does so at once, with 128 plus its number. Process 1, as a
 * container's program is, would ignore it.
 *
 * @returns a function that gives the signals back
 */
export function endAtStopRequest(): () => void {
  return onStopRequest({ stop: (signal) => process.exit(128 + constants.signals[signal]) });
}

/** What ends a process in order. */
export interface ShutdownOptions {
  /** The program, as its log lines name it. */
  readonly name: string;
  readonly logger: GuardedLogger;
  /** From the signal or the fault to the hard exit, in ms. */
  readonly deadlineMs: number;
  /** Ends the program's work. Called once. A rejection is logged, and the process ends with 1. */
  readonly close: () => Promise<void>;
  /** Of a program that a person starts. @default none: a service */
  readonly terminal?: Terminal;
}

/**
 * Takes over how this process ends; call it once, when everything runs.
 *
 * - The first SIGTERM or SIGINT: `close`, then exit code 0.
 * - A second one, half a second later or more: the process ends at once, with 128 plus the signal's number.
 * - An error that nothing caught, thrown or rejected, whatever its value: it is logged past the log's quota, then `close`,
 *   then exit code 1. What happens after such an error is unknown, but what was read and not yet stored can still be handed over.
 * - After `deadlineMs`, or when `close` rejects: exit code 1.
 *
 * @returns a function that ends the process for a reason that stays: it is logged past the log's quota, then `close`, then
 * exit code 1.
 */
export function shutDownInOrder(options: ShutdownOptions): (reason: Error) => void {
  const { name, logger, deadlineMs, close, terminal } = options;
  const fatal = fatalLine(logger);
  let exitCode = 0;
  let stopping = false;

  const stop = async (): Promise<void> => {
    stopping = true;
    // A socket that never closes must not keep the process from ending.
    setTimeout(() => {
      fatal(`${name}: not stopped in time, exiting`);
      process.exit(1);
    }, deadlineMs).unref();
    try {
      await close();
      logger.info(`${name}: stopped`);
    } catch (error) {
      exitCode = 1;
      fatal({ err: error }, `${name}: stopping failed`);
    }
    process.exit(exitCode);
  };

  onStopRequest({
    terminal,
    stop: (signal) => {
      logger.info({ signal }, `${name}: stopping`);
      if (!stopping) void stop();
    },
  });
  const fail = (error: unknown, message: string): void => {
    exitCode = 1;
    fatal({ err: error }, `${name}: ${message}`);
    if (!stopping) void stop();
  };
  // Rejections that nothing handles come here too, as Node's default has it; a falsy reason as an error that names it.
  process.on('uncaughtException', (error: unknown) => fail(error, 'uncaught error, stopping'));
  return (reason) => fail(reason, `${reason.message}; stopping`);
}
