import { Argument, Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { insertChange } from '@spillway/db';
import {
  guidePatterns,
  isMaintenanceJobName,
  type JobReport,
  maintenanceJobNames,
  maintenanceJobs,
} from '@spillway/worker';
import { actor } from '../actor.ts';
import type { CliContext } from '../cli-context.ts';
import { readTables } from '../config.ts';
import { type ExitCode, exitCodes } from '../exit-code.ts';
import { table } from '../output.ts';
import { progressBars } from '../progress-bars.ts';
import { silentLogger } from '../silent-logger.ts';
import { withPool } from '../with-pool.ts';

/** `spillway maintenance list` and `spillway maintenance run <job>`. */
export function maintenanceCommand(context: CliContext): Command {
  const list = new Command('list').description('the jobs and their schedules in UTC').action(() => {
    const jobs = maintenanceJobNames.map((job) => ({ job, schedule: guidePatterns[job] }));
    context.output.result(jobs, table(jobs));
  });
  return new Command('maintenance')
    .description('clean up, make partitions, archive')
    .addCommand(list)
    .addCommand(runCommand(context));
}

function runCommand(context: CliContext): Command<[string], { dryRun?: true; timeBudget?: number }> {
  const { output, signal, end } = context;
  return new Command('run')
    .description('run a job now; Ctrl-C ends it after the batch at hand')
    .addArgument(new Argument('<job>', 'its name').choices(maintenanceJobNames))
    .option('--dry-run', 'only look and report')
    .option('--time-budget <seconds>', 'stop after so many seconds; the next run goes on', seconds)
    .addHelpText('after', '\nNeeds DATABASE_URL. Each table of a run has a row in archive.archival_runs.')
    .action(async (name, { dryRun = false, timeBudget }) => {
      if (!isMaintenanceJobName(name)) throw new InvalidArgumentError('There is no such job.');
      const tables = readTables(context.env);
      const bars = progressBars(output);
      const change = { actor: actor(), action: 'run_job', objectKind: 'job', object: name, after: { dryRun } };
      const report = await withPool(context, async (pool) => {
        await insertChange(pool, change);
        return maintenanceJobs[name](
          { pool, logger: silentLogger, tables },
          {
            dryRun,
            signal,
            onProgress: bars.show,
            ...(timeBudget === undefined ? {} : { timeBudgetMs: timeBudget * 1_000 }),
          },
        );
      }).finally(bars.stop);
      output.result(report, people(report));
      end(codes[report.status]);
    });
}

const codes: Readonly<Record<JobReport['status'], ExitCode>> = {
  completed: exitCodes.ok,
  partial: exitCodes.partial,
  busy: exitCodes.partial,
  failed: exitCodes.failed,
};

function people({ job, status, dryRun, durationMs, tables }: JobReport): string {
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
