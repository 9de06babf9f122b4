import {
  builtInArchives,
  type Connection,
  isPlainTable,
  listPartitions,
  monthsReady,
  PartitionError,
  inspectArchives,
} from '@spillway/db';
import type { MaintainedTable } from '@spillway/worker';
import { type Check, check, unreachable } from './check.ts';

/** Fewer months than this ahead, and the daily run has been away for long. */
const LEAST_AHEAD = 1;

/** Looks whether the archives have this month and the next; an archive that is a plain table needs none. */
export async function checkPartitions(
  connection: Connection,
  tables: readonly MaintainedTable[],
  nowMs: number,
): Promise<readonly Check[]> {
  const checks: Check[] = [];
  for (const table of tables) {
    const { target, monthsAhead = LEAST_AHEAD } = table;
    const name = `partitions of ${target.schema}.${target.name}`;
    try {
      const ready = monthsReady(await listPartitions(connection, target), nowMs);
      const found = ready < 0 ? 'this month is missing' : `this month and ${ready} more`;
      checks.push(
        check(name, found, ready >= Math.min(LEAST_AHEAD, monthsAhead), {
          status: ready < 0 ? 'fail' : 'warn',
          advice: 'Run spillway maintenance run cron-create-partitions, and see why no worker did.',
        }),
      );
    } catch (error) {
      if (!(error instanceof PartitionError)) throw error;
      // The comparison of the tables says why one of the guide's three has no archive.
      if ((await isPlainTable(connection, target)) || builtInArchives.includes(table)) continue;
      checks.push(unreachable(name, error, 'Create the archive, partitioned by range on its column of time.'));
    }
  }
  return checks;
}

/** Compares each live table with its archive, as the job does before it moves anything. */
export async function checkArchives(
  connection: Connection,
  tables: readonly MaintainedTable[],
): Promise<readonly Check[]> {
  const reports = await inspectArchives(connection, tables);
  return reports.map(({ source, target, archivable, problems, warnings }, index) => {
    const found = [...problems, ...warnings].join('; ') || `fits ${target}`;
    const table = tables[index];
    // One of the guide's three that can't be archived is left out, and nothing fails.
    const skipped = !archivable && table !== undefined && builtInArchives.includes(table);
    const status = problems.length === 0 || skipped ? 'warn' : 'fail';
    return check(`archiving of ${source}`, found, problems.length + warnings.length === 0, { status, advice: ADVICE });
  });
}

const ADVICE =
  'Run spillway migrate as the owner of both tables: it makes archives and adds columns to those that it made. Otherwise change the tables, or the entry of SPILLWAY_ARCHIVE_TABLES.';
