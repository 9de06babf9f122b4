import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { gapChange, listGaps, recordChange, resolveGap, insertChange } from '@spillway/db';
import { reconcileJob, type ReconcileReport, runJob } from '@spillway/worker';
import { actor, type CliContext, exitCodes, silentLogger, table } from '../../cli-context.ts';
import { readShards, readTrailRedises } from '../../config.ts';
import { withPool, withRedis } from '../../connections.ts';

/** Gaps that are shown at once. */
const MOST = 1_000;

/** `spillway audit gaps`. */
export function gapsCommand(context: CliContext): Command<[], { all?: true }> {
  return new Command('gaps')
    .description('list the known gaps of the trail, the latest first')
    .option('--all', 'include resolved gaps')
    .addHelpText('after', `\nNeeds DATABASE_URL. Shows ${MOST} at most.`)
    .action(async ({ all = false }) => {
      const { rows } = await withPool(context, async (pool) =>
        listGaps(pool, { limit: MOST, ...(all ? {} : { resolved: false }) }),
      );
      const people = rows.map(({ id, kind, shard, fromSeq, toSeq, detectedAtMs, resolvedAtMs }) => ({
        id,
        kind,
        shard,
        from: fromSeq,
        to: toSeq,
        found: new Date(detectedAtMs).toISOString(),
        resolved: resolvedAtMs === null ? null : new Date(resolvedAtMs).toISOString(),
      }));
      const none = all ? 'No gap is known.' : 'No gap is open.';
      context.output.result(rows, rows.length === 0 ? none : table(people));
    });
}

/** `spillway audit resolve`. */
export function resolveCommand(context: CliContext): Command<[string], { note: string }> {
  const { output, end } = context;
  return new Command('resolve')
    .description('mark a gap as resolved, so that it no longer counts for alerts')
    .argument('<id>', 'as `audit gaps` shows it', uuid)
    .requiredOption('--note <why>', 'the reason; spillway.changes keeps it, with the actor', why)
    .addHelpText('after', '\nNeeds DATABASE_URL, of a user that may: the owner, or a member of spillway_maintenance.')
    .action(async (id, { note }) => {
      const result = await withPool(context, async (pool) =>
        recordChange(
          pool,
          async (connection) => resolveGap(connection, id),
          (done) => {
            const change = gapChange(done, note);
            return change && { actor: actor(), ...change };
          },
        ),
      );
      if (result.kind === 'unknown') throw new Error(`There is no gap ${id}: see spillway audit gaps --all.`);
      const at = new Date(result.gap.resolvedAtMs ?? 0).toISOString();
      output.result(result, result.kind === 'resolved' ? `Resolved at ${at}.` : `It was resolved before, at ${at}.`);
      end(exitCodes.ok);
    });
}

function uuid(value: string): string {
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u.test(value)) return value;
  throw new InvalidArgumentError('It must be the id of a gap, a UUID.');
}

function why(value: string): string {
  if (value.trim() === '') throw new InvalidArgumentError('It must be a text that gives the reason.');
  return value;
}

/** `spillway audit reconcile`. */
export function reconcileCommand(context: CliContext): Command<[], { dryRun?: true }> {
  const { output, end } = context;
  return new Command('reconcile')
    .description('find events whose number was assigned and that are stored nowhere')
    .option('--dry-run', 'report only: write no row to audit_gaps')
    .addHelpText('after', help)
    .action(async ({ dryRun = false }) => {
      const report = await look(context, dryRun);
      if (report === 'busy') {
        output.result({ status: 'busy' }, 'Another process is reconciling already.');
        end(exitCodes.partial);
        return;
      }
      output.result(report, formatHuman(report));
      if (report.missing.length > 0) end(exitCodes.unhealthy);
    });
}

const help = `
Needs REDIS_URL and DATABASE_URL, and the worker's SPILLWAY_SHARDS and SPILLWAY_NAMESPACE if it has them. Each range is reported once, by this command or by the worker's daily run. Ends with 4 when there is one.`;

/** A run of `cron-reconcile-audit`, which counts as one. */
async function look(context: CliContext, dryRun: boolean): Promise<ReconcileReport | 'busy'> {
  const { trail } = readTrailRedises(context.env);
  const { shards, namespace } = readShards(context.env);
  return withRedis(trail, async (redis) =>
    withPool(context, async (pool) => {
      let found: ReconcileReport | undefined;
      const job = reconcileJob({ redis, pool, shards, namespace }, (report) => {
        found = report;
      });
      const change = { action: 'run_job', objectKind: 'job', object: job.name, after: { dryRun } };
      await insertChange(pool, { actor: actor(), ...change });
      const { status, errorMessage } = await runJob({ pool, logger: silentLogger }, job, {
        trigger: 'cli',
        dryRun,
        signal: context.signal,
      });
      if (status === 'busy') return 'busy';
      if (found === undefined) throw new Error(errorMessage ?? 'it failed');
      return found;
    }),
  );
}

function formatHuman({ missing, missingEvents, checked }: ReconcileReport): string {
  if (missing.length === 0) return `Nothing new is missing. Looked at ${checked.length} outboxes.`;
  return `${table(missing.map((each) => ({ ...each })))}\n${missingEvents} missing.`;
}
