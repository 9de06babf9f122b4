import type { TableName } from '@spillway/db';
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
    target: tableName,
    timestampColumn: z.string().min(1).optional(),
    retentionDays: z.int().min(0).max(36_500),
    where: z.string().min(1).optional(),
    batchSize: z.int().min(1).max(100_000).optional(),
    monthsAhead: z.int().min(0).max(120).optional(),
    retire: z.strictObject({ keepMonths: z.int().min(0), action: z.enum(['detach', 'drop']) }).optional(),
  }),
);

/**
 * A variable that lists tables as JSON:
 * `[{"source":"public.sessions","target":"archive.sessions","timestampColumn":"seen_at","retentionDays":14}]`.
 */
export const archiveTablesField: z.ZodType<readonly MaintainedTable[], string> = z
  .string(EXPECTED)
  .transform((text, context): readonly MaintainedTable[] => {
    const result = tables.safeParse(parseJson(text));
    if (result.success) return result.data.map(withoutUndefined);
    const [issue] = result.error.issues;
    context.addIssue(`${EXPECTED} (${issue?.path.join('.') || 'the whole'}: ${issue?.message})`);
    return z.NEVER;
  });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** An optional key that is absent and one that is undefined are two things to the compiler. */
function withoutUndefined(table: z.output<typeof tables>[number]): MaintainedTable {
  const { source, target, retentionDays, timestampColumn, where, batchSize, monthsAhead, retire } = table;
  return {
    source,
    target,
    retentionDays,
    ...(timestampColumn === undefined ? {} : { timestampColumn }),
    ...(where === undefined ? {} : { where }),
    ...(batchSize === undefined ? {} : { batchSize }),
    ...(monthsAhead === undefined ? {} : { monthsAhead }),
    ...(retire === undefined ? {} : { retire }),
  };
}
