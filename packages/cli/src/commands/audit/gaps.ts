import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { gapChange, listGaps, recordChange, resolveGap } from '@spillway/db';
import { actor } from '../../actor.ts';
import type { CliContext } from '../../cli-context.ts';
import { exitCodes } from '../../exit-code.ts';
import { table } from '../../output.ts';
import { withPool } from '../../with-pool.ts';

/** Gaps that are shown at once. */
const MOST = 1_000;

/** `spillway audit gaps`. */
export function gapsCommand(context: CliContext): Command<[], { all?: true }> {
  return new Command('gaps')
    .description('what the trail knows it does not hold, the last found first')
    .option('--all', 'those that were resolved too')
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
      context.output.result(rows, rows.length === 0 ? 'No gap is open.' : table(people));
    });
}

/** `spillway audit resolve`. */
export function resolveCommand(context: CliContext): Command<[string], { note: string }> {
  const { output, end } = context;
  return new Command('resolve')
    .description('say that a gap was looked into: it counts for no alert any more')
    .argument('<id>', 'as `audit gaps` shows it', uuid)
    .requiredOption('--note <why>', 'why; spillway.changes keeps it, with who you are', why)
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
  if (value.trim() === '') throw new InvalidArgumentError('It must say why.');
  return value;
}
