/** What to do about a database without our tables. */
export const NOT_MIGRATED = 'is not migrated: run spillway migrate';

/** undefined_table, undefined_column, undefined_function and invalid_schema_name, as Postgres calls them. */
const states = new Set(['42P01', '42703', '42883', '3F000']);

/** Whether a statement failed because our tables, or those of this version, are not there. */
export function isNotMigrated(error: unknown): boolean {
  let link = error;
  // Bounded, since a cause may be its own ancestor.
  for (let depth = 0; depth < 8 && link instanceof Error; depth += 1) {
    const code: unknown = Reflect.get(link, 'code');
    if (typeof code === 'string' && states.has(code)) return true;
    link = link.cause;
  }
  return false;
}
