import { type Connection, builtInArchives, inspectArchives } from '@spillway/db';
import type { MaintainedTable } from '@spillway/worker';
import { type Check, check } from './check.ts';

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
