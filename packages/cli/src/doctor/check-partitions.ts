import {
  builtInArchives,
  type Connection,
  isPlainTable,
  listPartitions,
  monthsReady,
  PartitionError,
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
