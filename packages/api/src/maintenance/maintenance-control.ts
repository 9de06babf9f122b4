import { builtInArchives, type ConnectionSource, type Queryable } from '@spillway/db';
import { type JobReport, type MaintainedTable, type MaintenanceJobName, maintenanceJobs } from '@spillway/worker';
import type { ApiLogger } from '../logger.ts';

/** What the API asks of whoever does maintenance. */
export interface MaintenanceControl {
  /** How long a request waits for a run's end before it is answered that the run goes on, in ms. */
  readonly answerWithinMs: number;
  /**
   * Runs a job to its end. When somebody else has it in hand, anywhere in the fleet, nothing is done and the report says
   * `busy`: so it may be called as often as one likes. Rejects when Postgres can't be reached.
   */
  run(job: MaintenanceJobName, options: { readonly dryRun: boolean }): Promise<JobReport>;
  /** Stops what runs after the batch at hand, and waits for it. Never rejects. */
  close(): Promise<void>;
}

/** Runs the worker's own jobs in this process; a lock in Postgres sees to it that there is one of each in the fleet. */
export function maintenanceControl(options: {
  /** A run holds two connections. */
  readonly pool: ConnectionSource & Queryable;
  readonly logger: ApiLogger;
  /** Tables to archive. @default the guide's three */
  readonly archiveTables?: readonly MaintainedTable[] | undefined;
  /** pg_net gives up after 5 s, and after 1 s in its first versions. @default 500 */
  readonly answerWithinMs?: number;
}): MaintenanceControl {
  const { pool, logger, archiveTables = builtInArchives, answerWithinMs = 500 } = options;
  const deps = { pool, logger, tables: archiveTables };
  const running = new Set<Promise<unknown>>();
  const stop = new AbortController();
  return {
    answerWithinMs,
    run: async (job, { dryRun }) => {
      const run = maintenanceJobs[job](deps, { dryRun, signal: stop.signal });
      const settled = run.then(
        ({ status, runId }) => logger.info({ job, status, runId }, 'api: maintenance ended'),
        (error: unknown) => logger.error({ err: error, job }, 'api: maintenance failed'),
      );
      running.add(settled);
      void settled.finally(() => running.delete(settled));
      return run;
    },
    close: async () => {
      stop.abort();
      await Promise.all(running);
    },
  };
}
