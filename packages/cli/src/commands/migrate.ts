import { Command } from '@commander-js/extra-typings';
import { type ApplicationTable, type ArchiveReport, migrate, type RolesReport } from '@spillway/db';
import type { CliContext } from '../cli-context.ts';
import { readDatabaseUrl } from '../config.ts';
import { readArchiveTables } from '@spillway/worker/archive-tables';

/** `spillway migrate`. */
export function migrateCommand({ env, output }: CliContext): Command {
  return new Command('migrate')
    .description('migrate the database to this version, and create the partitions of this month and the next three')
    .addHelpText(
      'after',
      '\nNeeds DATABASE_URL, of the owner of the tables; a pooler is fine. Any number may run at once.\nMakes the archives of SPILLWAY_ARCHIVE_TABLES too.',
    )
    .action(async () => {
      const report = await migrate({ connectionString: readDatabaseUrl(env), archives: readArchiveTables(env) });
      const made = report.partitions.flatMap(({ created }) => created);
      const applied =
        report.applied.length === 0 ? 'The schema is up to date.' : `Applied ${report.applied.join(', ')}.`;
      const lines = [
        applied,
        ...(made.length === 0 ? [] : [`Made partitions ${made.join(', ')}.`]),
        ...roleLines(report.roles),
        ...report.applicationTables.map(applicationTableLine),
        ...report.archives.flatMap(archiveLines),
      ];
      output.result(report, lines.join('\n'));
    });
}

/** A server that lets nobody make roles is no failure: everything works as the owner too, only with more rights than needed. */
function roleLines({ created, missing, refused, exposed }: RolesReport): string[] {
  return [
    ...(created.length === 0 ? [] : [`Made roles ${created.join(', ')}.`]),
    ...(missing.length === 0 ? [] : [`This user may not make roles: make ${missing.join(', ')} and migrate again.`]),
    ...(refused === undefined ? [] : [`Roles were not granted: ${refused}`]),
    ...exposed.map(
      ({ object, grantee, privileges }) =>
        `Open to ${grantee}: ${object} (${privileges}). This user may not close it; migrate as its owner.`,
    ),
  ];
}

/** A table of the application's that has a name of the archive's. */
function applicationTableLine({ table, missingColumns, rowSecurity }: ApplicationTable): string {
  const notes = [
    ...(missingColumns.length === 0 ? [] : [`without ${missingColumns.join(', ')}`]),
    ...(rowSecurity ? ['with row level security: archive as its owner, or give spillway_maintenance a policy'] : []),
  ];
  return `${table} is yours and stays as it is${notes.length === 0 ? '' : `: ${notes.join('; ')}`}.`;
}

function archiveLines({ source, target, created, addedColumns, problems }: ArchiveReport): string[] {
  return [
    ...(created ? [`Made ${target}, with the columns of ${source}.`] : []),
    ...(addedColumns.length === 0 ? [] : [`Added to ${target} what ${source} has: ${addedColumns.join(', ')}.`]),
    ...(problems.length === 0 ? [] : [`${source} is not archived: ${problems.join('; ')}.`]),
  ];
}
