import { hostname, userInfo } from 'node:os';
import type { Environment } from '@spillway/runtime';
import type { WorkerLogger } from '@spillway/worker';
import type { Output } from './output.ts';

/** What commands work with. */
export interface CliContext {
  readonly env: Environment;
  readonly output: Output;
  /** Aborted when the user wants the command to end. */
  readonly signal: AbortSignal;
  /** Sets what the process ends with. @default 0 */
  readonly end: (code: ExitCode) => void;
  /** Becomes the worker: never comes back but by signals. */
  readonly runWorker: () => Promise<void>;
}

/** Who changes something at a command line, as the trail has it: `cli:<user>@<host>`. */
export function actor(): string {
  return `cli:${userName()}@${hostname()}`;
}

/** A container's user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

/**
 * What the process ends with:
 * - `ok` 0: done.
 * - `failed` 1: failed.
 * - `usage` 2: the command line or a variable is wrong; nothing was done.
 * - `partial` 3: done in part, or somebody else is doing it; run it again.
 * - `unhealthy` 4: `doctor` found something to change, or `audit reconcile` something missing.
 * - `unavailable` 5: Redis or Postgres can't be reached.
 */
export const exitCodes = { ok: 0, failed: 1, usage: 2, partial: 3, unhealthy: 4, unavailable: 5 } as const;

/** One of the codes. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** They as `--help` tells them. */
export const exitCodeHelp = `
Exit codes:
  0  done
  1  failed
  2  the command line or a variable is wrong; nothing was done
  3  done in part, or another process is running it: run the command again
  4  doctor found something to change, or reconcile something missing
  5  Redis or Postgres cannot be reached`;

/** What goes wrong is in the command's report. */
export const silentLogger: WorkerLogger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
