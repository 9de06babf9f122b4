import type { WorkerLogger } from '../src/logger.ts';

/** A logger that keeps what it was told. */
export interface RecordingLogger extends WorkerLogger {
  /** All messages of level `warn` and above, in order. */
  readonly messages: readonly string[];
}

/** Makes one. */
export function recordingLogger(): RecordingLogger {
  const messages: string[] = [];
  const keep = (_: unknown, message?: string): void => {
    messages.push(message ?? '');
  };
  return { messages, debug: () => {}, info: () => {}, warn: keep, error: keep };
}
