import { sqlState } from '../sql-state.ts';
import { MigrationError } from './migration-error.ts';
import type { Migration } from './migration-folder.ts';

/** duplicate_table, duplicate_function, duplicate_object (a type, a policy or a trigger). */
const TAKEN: ReadonlySet<string | undefined> = new Set(['42P07', '42723', '42710']);
const INSUFFICIENT_PRIVILEGE = '42501';
const LOCKED: ReadonlySet<string | undefined> = new Set(['55P03', '40P01']);

/** What a failed statement of a migration means to the person who migrates; the error itself where nothing is known about it. */
export function explainFailure(error: unknown, statement: string, migrations: readonly Migration[]): unknown {
  if (!(error instanceof Error)) return error;
  const state = sqlState(error);
  const tags = migrations.map(({ tag }) => tag);
  const options = { cause: error };
  const object = objectOf(statement);
  if (TAKEN.has(state)) {
    const text = `${object} can not be made: ${error.message}. Rename yours (ALTER … RENAME TO …), then migrate again`;
    return new MigrationError('name_taken', `${text}. Nothing was changed`, tags, options);
  }
  if (state === INSUFFICIENT_PRIVILEGE) {
    const text = `${object}: ${error.message}. Migrate as the owner of the database, or grant this user the right`;
    return new MigrationError('missing_privilege', `${text}. Nothing was changed`, tags, options);
  }
  if (LOCKED.has(state)) {
    const text = `${object}: others held a lock on it at every attempt. End what runs long, then migrate again`;
    return new MigrationError('busy', text, tags, options);
  }
  return error;
}

/** `public.rate_limits_v2` of the statement that makes or changes it; the first line of any other. */
function objectOf(statement: string): string {
  const code = statement.replaceAll(/^\s*--.*$/gmu, '').trim();
  const named =
    /^(?:CREATE(?: OR REPLACE)?(?: UNIQUE)?|ALTER|DROP) (?:TABLE|FUNCTION|INDEX|TYPE|SCHEMA)(?: CONCURRENTLY)?(?: IF (?:NOT )?EXISTS)? ([\w.$"]+)/u.exec(
      code,
    );
  return named?.[1]?.replaceAll('"', '') ?? (code === '' ? 'spillway.migrations' : (code.split('\n')[0] ?? ''));
}
