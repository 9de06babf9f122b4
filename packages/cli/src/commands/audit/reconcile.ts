import { Command } from '@commander-js/extra-typings';
import { insertChange } from '@spillway/db';
import { createAuditQueue, queuePrefix, reconcileJob, type ReconcileReport, runJob } from '@spillway/worker';
import { actor } from '../../actor.ts';
import type { CliContext } from '../../cli-context.ts';
import { readShards, readTrailRedises } from '../../config.ts';
import { exitCodes } from '../../exit-code.ts';
import { withRedis } from '../../open-redis.ts';
import { table } from '../../output.ts';
import { silentLogger } from '../../silent-logger.ts';
import { withPool } from '../../with-pool.ts';

/** `spillway audit reconcile`. */
export function reconcileCommand(context: CliContext): Command<[], { dryRun?: true }> {
  const { output, end } = context;
  return new Command('reconcile')
    .description('look for events that the limiters numbered and that are nowhere')
    .option('--dry-run', 'only look: leave no row in audit_gaps')
    .addHelpText('after', help)
    .action(async ({ dryRun = false }) => {
      const report = await look(context, dryRun);
      if (report === 'busy') {
        output.result({ status: 'busy' }, 'Another process is at it.');
        end(exitCodes.partial);
        return;
      }
      output.result(report, formatHuman(report));
      if (report.missing.length > 0) end(exitCodes.unhealthy);
    });
}

const help = `
Needs REDIS_URL and DATABASE_URL, and the worker's QUEUE_REDIS_URL, SPILLWAY_SHARDS and SPILLWAY_NAMESPACE if it has
them. Each range is reported once, by this command or by the worker's daily run. Ends with 4 when there is one.`;

/** A run of `cron-reconcile-audit`, which counts as one. */
async function look(context: CliContext, dryRun: boolean): Promise<ReconcileReport | 'busy'> {
  const { trail, queue: queueAddress } = readTrailRedises(context.env);
  const { shards, namespace } = readShards(context.env);
  return withRedis(trail, async (redis) =>
    withRedis(queueAddress, async (connection) => {
      const queue = createAuditQueue({ connection, prefix: queuePrefix(namespace), onError: () => {} });
      try {
        return await withPool(context, async (pool) => {
          let found: ReconcileReport | undefined;
          const job = reconcileJob({ redis, queue, pool, shards, namespace }, (report) => {
            found = report;
          });
          await insertChange(pool, {
            actor: actor(),
            action: 'run_job',
            objectKind: 'job',
            object: job.name,
            after: { dryRun },
          });
          const { status, errorMessage } = await runJob({ pool, logger: silentLogger }, job, {
            trigger: 'cli',
            dryRun,
            signal: context.signal,
          });
          if (status === 'busy') return 'busy';
          if (found === undefined) throw new Error(errorMessage ?? 'it failed');
          return found;
        });
      } finally {
        await queue.close();
      }
    }),
  );
}

function formatHuman({ missing, missingEvents, checked }: ReconcileReport): string {
  if (missing.length === 0) return `Nothing new is missing. Looked at ${checked.length} outboxes.`;
  return `${table(missing.map((each) => ({ ...each })))}\n${missingEvents} events are missing.`;
}
