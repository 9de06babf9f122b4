/** How a job of events ended. `postponed`: Postgres was away, and the same job is tried again. */
export type JobOutcome = 'stored' | 'failed' | 'postponed';

/**
 * Metrics of pump and sink, as plain callbacks; missing ones cost nothing. They must
 * be quick and must not throw.
 */
export interface WorkerMetrics {
  /** The pump put so many events into the queue, in one job, and took them out of the outbox. */
  readonly queued?: (events: number) => void;
  /** The sink was done with a job, after `durationMs`. */
  readonly job?: (outcome: JobOutcome, durationMs: number) => void;
  /** What a stored job came to. */
  readonly stored?: (report: {
    readonly events: number;
    readonly written: number;
    readonly deadLetters: number;
  }) => void;
}
