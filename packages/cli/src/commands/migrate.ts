import { Command } from '@commander-js/extra-typings';
import { migrate } from '@spillway/db';
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
      output.result(report, made.length === 0 ? applied : `${applied}\nMade partitions ${made.join(', ')}.`);
    });
}
