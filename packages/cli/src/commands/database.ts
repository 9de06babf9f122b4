import { Command } from '@commander-js/extra-typings';
import {
  type ApplicationTable,
  type ArchiveReport,
  type Connection,
  migrate,
  readBehindMs,
  type RolesReport,
  transaction,
  withConnection,
} from '@spillway/db';
import { readArchiveTables } from '@spillway/worker/archive-tables';
import { type CliContext, table } from '../cli-context.ts';
import { readDatabaseUrl, readReplicaUrl } from '../config.ts';
import { withPool } from '../connections.ts';

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

/** A server that forbids creating roles is no failure: everything works as the owner too, only with more rights than needed. */
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
function applicationTableLine({ table: name, missingColumns, rowSecurity }: ApplicationTable): string {
  const notes = [
    ...(missingColumns.length === 0 ? [] : [`without ${missingColumns.join(', ')}`]),
    ...(rowSecurity ? ['with row level security: archive as its owner, or give spillway_maintenance a policy'] : []),
  ];
  return `${name} is yours and stays as it is${notes.length === 0 ? '' : `: ${notes.join('; ')}`}.`;
}

function archiveLines({ source, target, created, addedColumns, problems }: ArchiveReport): string[] {
  return [
    ...(created ? [`Made ${target}, with the columns of ${source}.`] : []),
    ...(addedColumns.length === 0 ? [] : [`Added to ${target} what ${source} has: ${addedColumns.join(', ')}.`]),
    ...(problems.length === 0 ? [] : [`${source} is not archived: ${problems.join('; ')}.`]),
  ];
}

/** The guide's monitoring queries, as they stand there. */
const monitoringQueries = [
  {
    title: 'Rate limit blocks in last 24h',
    name: 'blocks',
    sql: `SELECT COUNT(*) FROM rate_limits_v2 WHERE blocked_until > now() - interval '24 hours';`,
  },
  {
    title: 'Circuit breaker events',
    name: 'breakers',
    sql: `SELECT breaker_name, event_type, COUNT(*)
FROM circuit_breaker_events
WHERE created_at > now() - interval '24 hours'
GROUP BY breaker_name, event_type;`,
  },
  {
    title: 'Archival history',
    name: 'archival',
    sql: 'SELECT * FROM archive.archival_runs ORDER BY started_at DESC LIMIT 10;',
  },
] as const;

/** Postgres' number of the type. */
const BIGINT = 20;

/** Columns that fit on a screen. */
const shown: Readonly<Record<string, readonly string[]>> = {
  archival: [
    'started_at',
    'job_name',
    'table_name',
    'status',
    'archived_count',
    'deleted_count',
    'duration_ms',
    'error_message',
  ],
};

interface Found {
  readonly title: string;
  readonly name: string;
  readonly sql: string;
  readonly rows: Record<string, unknown>[];
}

/** `spillway queries`. */
export function queriesCommand(context: CliContext): Command {
  return new Command('queries')
    .description('run the monitoring queries: blocks, breaker events, archival history')
    .addHelpText(
      'after',
      '\nNeeds DATABASE_URL, or DATABASE_READ_URL for a replica, and then says how far it is behind. With --json all columns are there.',
    )
    .action(async () => {
      const replica = readReplicaUrl(context.env);
      const { results, behindMs } = await withPool(
        context,
        async (pool) => ({
          results: await withConnection(pool, async (connection) =>
            transaction(connection, {}, async () => runAll(connection)),
          ),
          behindMs: replica === undefined ? null : await readBehindMs(pool),
        }),
        replica ?? readDatabaseUrl(context.env),
      );
      const people = results.map(({ title, name, rows }) => `${title}\n${table(rows, shown[name])}`);
      if (behindMs !== null) people.push(`From a replica, ${known(behindMs) ?? 'an unknown number of'} ms behind`);
      context.output.result(
        {
          ...Object.fromEntries(results.map(({ name, rows }) => [name, rows])),
          ...(behindMs === null ? {} : { behindMs: known(behindMs) }),
        },
        people.join('\n\n'),
      );
    });
}

/** In whole ms; null where the replica can't say. */
function known(behindMs: number): number | null {
  return Number.isFinite(behindMs) ? Math.ceil(behindMs) : null;
}

async function runAll(connection: Connection): Promise<Found[]> {
  // The texts are also for psql, and name no schema.
  await connection.query('SET LOCAL search_path = public');
  const found = [];
  for (const { title, name, sql } of monitoringQueries) {
    const { rows, fields } = await connection.query<Record<string, unknown>>(sql);
    // Counts are bigint, which the driver gives as text.
    const counts = fields.filter(({ dataTypeID }) => dataTypeID === BIGINT).map((field) => field.name);
    for (const row of rows) for (const count of counts) row[count] = Number(row[count]);
    found.push({ title, name, sql, rows });
  }
  return found;
}
