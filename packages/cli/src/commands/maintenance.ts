import { Argument, Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { insertChange, jobOverview } from '@spillway/db';
import {
  type JobReport,
  jobNames,
  jobPatterns,
  readArchiveTables,
  runJob,
  tableJobs,
  readWorkerConfig,
} from '@spillway/worker';
import { actor, type CliContext, type ExitCode, exitCodes, silentLogger, table } from '../cli-context.ts';
import { withPool } from '../connections.ts';
import { progressBars } from '../progress-bars.ts';

/** `spillway maintenance list`, `history` and `run <job>`. */
export function maintenanceCommand(context: CliContext): Command {
  const list = new Command('list').description('list the jobs and their schedules in UTC').action(() => {
    const jobs = jobNames.map((job) => ({ job, schedule: jobPatterns[job].join(', ') }));
    context.output.result(jobs, table(jobs));
  });
  return new Command('maintenance')
    .description('clean up, create partitions, archive')
    .addCommand(list)
    .addCommand(historyCommand(context))
    .addCommand(runCommand(context));
}

function historyCommand(context: CliContext): Command {
  return new Command('history')
    .description('show the last run of each job, scheduled or requested')
    .addHelpText('after', '\nNeeds DATABASE_URL. All runs are in spillway.job_runs.')
    .action(async () => {
      const runs = await withPool(context, async (pool) => jobOverview(pool));
      const rows = runs.map(({ startedAtMs, durationMs, errorMessage, rowsMoved, ...run }) => ({
        ...run,
        started: new Date(startedAtMs).toISOString(),
        ms: durationMs,
        rows: rowsMoved,
        error: errorMessage,
      }));
      context.output.result(runs, rows.length === 0 ? 'No job has run yet.' : table(rows));
    });
}

/** The jobs that `run` takes; `audit reconcile` runs the fourth, which needs Redis. */
const runnable = jobNames.filter((name) => name !== 'cron-reconcile-audit');

function runCommand(context: CliContext): Command<[string], { dryRun?: true; timeBudget?: number }> {
  const { output, signal, end } = context;
  return new Command('run')
    .description('run a job now, in this process; Ctrl-C ends it after the current batch')
    .addArgument(new Argument('<job>', 'its name').choices(runnable))
    .option('--dry-run', 'report what it would do')
    .option('--time-budget <seconds>', 'stop after this time; the next run continues', seconds)
    .addHelpText(
      'after',
      '\nNeeds DATABASE_URL. A run has a row in spillway.job_runs and one a table in archive.archival_runs.',
    )
    .action(async (name, { dryRun = false, timeBudget }) => {
      const tables = readArchiveTables(context.env);
      const bars = progressBars(output);
      const change = { actor: actor(), action: 'run_job', objectKind: 'job', object: name, after: { dryRun } };
      const report = await withPool(context, async (pool) => {
        const deps = { pool, logger: silentLogger, tables };
        const job = tableJobs(deps).find((each) => each.name === name);
        if (job === undefined) throw new InvalidArgumentError('There is no such job.');
        await insertChange(pool, change);
        return runJob(deps, job, {
          trigger: 'cli',
          dryRun,
          signal,
          onProgress: bars.show,
          ...(timeBudget === undefined ? {} : { timeBudgetMs: timeBudget * 1_000 }),
        });
      }).finally(bars.stop);
      output.result(report, formatHuman(report));
      end(codes[report.status]);
    });
}

const codes: Readonly<Record<JobReport['status'], ExitCode>> = {
  completed: exitCodes.ok,
  partial: exitCodes.partial,
  busy: exitCodes.partial,
  not_due: exitCodes.ok,
  failed: exitCodes.failed,
};

function formatHuman({ job, status, dryRun, durationMs, tables }: JobReport): string {
  if (status === 'busy') return `${job}: another process is running it.`;
  const rows = tables.map((each) => ({
    table: each.table,
    status: each.status,
    archived: each.archived,
    deleted: each.deleted,
    ms: each.durationMs,
    notes: each.errorMessage ?? notes(each.details),
  }));
  return `${table(rows)}\n${job}: ${status}${dryRun ? ', dry run' : ''}, ${durationMs} ms`;
}

/** What of a table's details a person wants to see: what was made or taken out, and warnings. */
function notes(details: Readonly<Record<string, unknown>>): string {
  return Object.entries(details)
    .flatMap(([name, value]) => (Array.isArray(value) && value.length > 0 ? [`${name}: ${value.join(', ')}`] : []))
    .join('; ');
}

function seconds(value: string): number {
  const number = Number(value);
  if (!Number.isFinite(number) || number < 0) throw new InvalidArgumentError('It must be a number of seconds.');
  return number;
}

/** `spillway worker`. */
export function workerCommand({ env, runWorker }: CliContext): Command {
  return new Command('worker')
    .description('run the worker until SIGTERM or SIGINT: audit trail, schedules, monitor')
    .addHelpText(
      'after',
      '\nNeeds REDIS_URL and DATABASE_URL; see the README for the other variables. Logs are JSON lines.',
    )
    .action(async () => {
      // The worker's own main would end with 1.
      readWorkerConfig(env);
      await runWorker();
    });
}
