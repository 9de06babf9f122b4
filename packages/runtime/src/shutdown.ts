import { constants } from 'node:os';
import { fatalLine, type GuardedLogger } from './guard-logger.ts';

/** What ends a process in order. */
export interface ShutdownOptions {
  /** The program, as its log lines name it. */
  readonly name: string;
  readonly logger: GuardedLogger;
  /** From the signal or the fault to the hard exit, in ms. */
  readonly deadlineMs: number;
  /** Ends the program's work. Called once. A rejection is logged, and the process ends with 1. */
  readonly close: () => Promise<void>;
}

/**
 * A signal this soon after the first is the same one: Ctrl-C reaches the whole process group, and npm or pnpm passes it on
 * to their child once more. In ms.
 */
const SAME_SIGNAL_MS = 500;

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Takes over how this process ends; call it once, when everything runs.
 *
 * - The first SIGTERM or SIGINT: `close`, then exit code 0.
 * - A second one, half a second later or more: the process ends at once, with 128 plus the signal's number.
 * - An error that nothing caught, thrown or rejected, whatever its value: it is logged past the log's quota, then `close`,
 *   then exit code 1. What happens after such an error is unknown, but what was read and not yet stored can still be handed over.
 * - After `deadlineMs`, or when `close` rejects: exit code 1.
 */
export function shutDownInOrder({ name, logger, deadlineMs, close }: ShutdownOptions): void {
  const fatal = fatalLine(logger);
  let exitCode = 0;
  let stoppingSinceMs: number | undefined;

  const stop = async (): Promise<void> => {
    stoppingSinceMs = performance.now();
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

  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (stoppingSinceMs === undefined) {
        logger.info({ signal }, `${name}: stopping`);
        void stop();
      } else if (performance.now() - stoppingSinceMs >= SAME_SIGNAL_MS) {
        process.exit(128 + constants.signals[signal]);
      }
    });
  }
  // Rejections that nothing handles come here too, as Node's default has it; a falsy reason as an error that names it.
  process.on('uncaughtException', (error: unknown) => {
    exitCode = 1;
    fatal({ err: error }, `${name}: uncaught error, stopping`);
    if (stoppingSinceMs === undefined) void stop();
  });
}
