import { Command } from '@commander-js/extra-typings';
import { migrate, type RolesReport } from '@spillway/db';
import type { CliContext } from '../cli-context.ts';
import { readDatabaseUrl } from '../config.ts';

/** `spillway migrate`. */
export function migrateCommand({ env, output }: CliContext): Command {
  return new Command('migrate')
    .description('bring the database to this version and make the partitions of this month and the next three')
    .addHelpText('after', '\nNeeds DATABASE_URL: a direct connection, not a pooler. Any number may run at once.')
    .action(async () => {
      const report = await migrate({ connectionString: readDatabaseUrl(env) });
      const made = report.partitions.flatMap(({ created }) => created);
      const applied =
        report.applied.length === 0 ? 'The schema is up to date.' : `Applied ${report.applied.join(', ')}.`;
      const lines = [
        applied,
        ...(made.length === 0 ? [] : [`Made partitions ${made.join(', ')}.`]),
        ...roleLines(report.roles),
      ];
      output.result(report, lines.join('\n'));
    });
}

/** A server that lets nobody make roles is no failure: everything works as the owner too, only with more rights than needed. */
function roleLines({ created, missing, refused }: RolesReport): string[] {
  return [
    ...(created.length === 0 ? [] : [`Made roles ${created.join(', ')}.`]),
    ...(missing.length === 0 ? [] : [`This user may not make roles: make ${missing.join(', ')} and migrate again.`]),
    ...(refused === undefined ? [] : [`Roles were not granted: ${refused}`]),
  ];
}
