import { builtInArchives, type TableName } from '@spillway/db';
import { type Environment, readEnvironment } from '@spillway/runtime';
import { z } from 'zod';
import type { MaintainedTable } from './maintenance/job.ts';

const EXPECTED = 'a JSON list of tables to archive';

/** `schema.name`, or a name alone for the schema public. */
const tableName = z
  .string()
  .regex(/^[^.]+(\.[^.]+)?$/u, 'must be "schema.name"')
  .transform((value): TableName => {
    const [first = '', second] = value.split('.');
    return second === undefined ? { schema: 'public', name: first } : { schema: first, name: second };
  });

const tables = z.array(
  z.strictObject({
    source: tableName,
    enabled: z.boolean().optional(),
    target: tableName.optional(),
    timestampColumn: z.string().min(1).optional(),
    retentionDays: z.int().min(0).max(36_500).optional(),
    where: z.string().min(1).optional(),
    batchSize: z.int().min(1).max(100_000).optional(),
    monthsAhead: z.int().min(0).max(120).optional(),
    retire: z.strictObject({ keepMonths: z.int().min(0), action: z.enum(['detach', 'drop']) }).optional(),
  }),
);

type Entry = z.output<typeof tables>[number];

/**
 * A variable that lists tables as JSON:
 * `[{"source":"public.sessions","target":"archive.sessions","timestampColumn":"seen_at","retentionDays":14}]`.
 *
 * Reads as all tables to archive: the guide's three and those of the list. An entry for one of the three replaces it, and what
 * the entry doesn't name stays; `"enabled": false` leaves a table out.
 */
export const archiveTablesField: z.ZodType<readonly MaintainedTable[], string | undefined> = z
  .string(EXPECTED)
  .prefault('[]')
  .transform((text, context): readonly MaintainedTable[] => {
    const result = tables.safeParse(parseJson(text));
    const problem = (place: string, message: string): never => {
      context.addIssue(`${EXPECTED} (${place}: ${message})`);
      return z.NEVER;
    };
    if (!result.success) {
      const [issue] = result.error.issues;
      return problem(issue?.path.join('.') || 'the whole', issue?.message ?? '');
    }
    const found = new Map<string, MaintainedTable>(builtInArchives.map((table) => [label(table.source), table]));
    const named = new Set<string>();
    for (const [index, entry] of result.data.entries()) {
      const name = label(entry.source);
      if (named.has(name)) return problem(`${index}.source`, `${name} has an entry already`);
      named.add(name);
      const { target, retentionDays, ...rest } = { ...found.get(name), ...given(entry) };
      if (entry.enabled === false) found.delete(name);
      else if (target === undefined) return problem(`${index}.target`, `must be given for ${name}`);
      else if (retentionDays === undefined) return problem(`${index}.retentionDays`, `must be given for ${name}`);
      else found.set(name, { ...rest, target, retentionDays });
    }
    return [...found.values()];
  });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function label({ schema, name }: TableName): string {
  return `${schema}.${name}`;
}

/** An optional key that is absent and one that is undefined are two things to the compiler. */
function given({ source, target, retentionDays, timestampColumn, where, batchSize, monthsAhead, retire }: Entry) {
  return {
    source,
    ...(target === undefined ? {} : { target }),
    ...(retentionDays === undefined ? {} : { retentionDays }),
    ...(timestampColumn === undefined ? {} : { timestampColumn }),
    ...(where === undefined ? {} : { where }),
    ...(batchSize === undefined ? {} : { batchSize }),
    ...(monthsAhead === undefined ? {} : { monthsAhead }),
    ...(retire === undefined ? {} : { retire }),
  };
}

/**
 * `SPILLWAY_ARCHIVE_TABLES`.
 * @throws {ConfigError} when it is wrong.
 */
export function readArchiveTables(env: Environment): readonly MaintainedTable[] {
  return readEnvironment(z.object({ SPILLWAY_ARCHIVE_TABLES: archiveTablesField }), env).SPILLWAY_ARCHIVE_TABLES;
}
