import type { Environment } from '@spillway/runtime';
import type { ExitCode } from './exit-code.ts';
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
