import { constants } from 'node:os';
import type { StopSignal } from '@spillway/local-servers';

/** Somebody wants the run to end before it has. */
export class StopRequest extends Error {
  readonly code = 'stopped';
  override readonly name = 'StopRequest';
  /** As a shell would say it: 130 for SIGINT, 143 for SIGTERM. */
  readonly exitCode: number;

  constructor(signal: StopSignal) {
    super(`Stopped by ${signal}: everything that was started is gone, and there is no report`);
    this.exitCode = 128 + constants.signals[signal];
  }
}
