import type { RunStatus } from '@spillway/db';

/** What a scheduled run came to. */
export interface ScheduledOutcome {
  /** `busy`: somebody else was running it by hand. */
  readonly status: RunStatus | 'busy';
  /** As in `archive.archival_runs`, for jobs that have rows there. */
  readonly runId?: string | null;
  readonly errorMessage?: string;
}

/** What a scheduled run is given. */
export interface ScheduledContext {
  /** Aborted when the process wants to end, or somebody else may have taken over. */
  readonly signal: AbortSignal;
  /** Becomes the job's progress in BullMQ. */
  readonly onProgress: (progress: object) => void;
}

/** A job and when it is due. */
export interface Schedule {
  /** Unique; the job scheduler's id and the name in the history. No colons. */
  readonly name: string;
  /** Five or six cron fields, in UTC. */
  readonly pattern: string;
  run(context: ScheduledContext): Promise<ScheduledOutcome>;
}
