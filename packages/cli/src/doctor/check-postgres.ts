import {
  type Connection,
  type ConnectionSource,
  createPool,
  listExposures,
  readServer,
  withConnection,
  readBackendPid,
  builtInArchives,
  isPlainTable,
  listPartitions,
  monthsReady,
  PartitionError,
  inspectArchives,
} from '@spillway/db';
import type { MaintainedTable } from '@spillway/worker';
import { type Check, check, unreachable, unreachableServer } from './check.ts';

/** What was found of Postgres. */
export interface PostgresFindings {
  readonly checks: readonly Check[];
  /** Its clock, less this process' one, in ms; null when it can't be reached. */
  readonly clockMs: number | null;
}

/** Looks at the database and at the months of the tables' archives. */
export async function checkPostgres(
  connectionString: string,
  tables: readonly MaintainedTable[],
): Promise<PostgresFindings> {
  // As for a pooler, which may refuse a connection that asks for more.
  const pool = createPool({ connectionString, server: 'pgbouncer', connectTimeoutMs: 3_000, onError: () => {} });
  try {
    return await withConnection(pool, async (connection) => look(pool, connection, tables));
  } catch (error) {
    return { checks: [unreachableServer('Postgres', 'DATABASE_URL', error)], clockMs: null };
  } finally {
    await pool.end();
  }
}

async function look(
  pool: ConnectionSource,
  connection: Connection,
  tables: readonly MaintainedTable[],
): Promise<PostgresFindings> {
  const before = Date.now();
  const server = await readServer(connection);
  const clockMs = server.clockMs - (before + Date.now()) / 2;
  const pooling = await findPooling(pool, connection);
  const checks = [
    check('DATABASE_URL version', server.version, server.versionNumber >= 140_000, {
      status: 'fail',
      advice: 'Run PostgreSQL 14 or later: partitions are detached concurrently.',
    }),
    check('DATABASE_URL pooling', pooling, pooling === 'direct', {
      status: 'warn',
      advice: 'Fine for the worker and for migrate. Give a worker that detaches partitions a direct connection.',
    }),
    check('DATABASE_URL schema', server.migrated ? 'migrated' : 'not migrated', server.migrated, {
      status: 'fail',
      advice: 'Run spillway migrate.',
    }),
  ];
  if (!server.migrated) return { checks, clockMs };
  const privileges = await checkPrivileges(connection);
  const archives = await checkArchives(connection, tables);
  const partitions = await checkPartitions(connection, tables, server.clockMs);
  return { checks: [...checks, privileges, ...archives, ...partitions], clockMs };
}

/** On a host that serves `public` to browsers, one grant too many makes the trail and the keys the internet's. */
async function checkPrivileges(connection: Connection): Promise<Check> {
  const exposures = await listExposures(connection);
  const shown = exposures
    .slice(0, 5)
    .map(({ object, grantee, privileges }) => `${grantee}: ${privileges} on ${object}`);
  const more = exposures.length > shown.length ? [`and ${exposures.length - shown.length} more`] : [];
  const found = exposures.length === 0 ? "open to Spillway's roles only" : [...shown, ...more].join('; ');
  return check('DATABASE_URL privileges', found, exposures.length === 0, {
    status: 'fail',
    advice: 'Run spillway migrate as the owner of the tables, which revokes them.',
  });
}

/** What stands between a client and Postgres. */
export type Pooling = 'direct' | 'session pooler' | 'transaction pooler';

/**
 * Finds out by asking for process ids. Postgres tells a new connection its own; a pooler makes one up. A pooler in transaction
 * mode gives the server connection that one client has just left to the next client, while one in session mode keeps
 * it for the first. Other clients' traffic may hide that: then a transaction pooler is taken for a session pooler.
 */
async function findPooling(pool: ConnectionSource, connection: Connection): Promise<Pooling> {
  const pid = await readBackendPid(connection);
  const told: unknown = Reflect.get(connection, 'processID');
  if (told === pid) return 'direct';
  const other = await withConnection(pool, readBackendPid);
  return other === pid ? 'transaction pooler' : 'session pooler';
}

/** Fewer months than this ahead, and the daily run has been away for long. */
const LEAST_AHEAD = 1;

/** Looks whether the archives have this month and the next; an archive that is a plain table needs none. */
async function checkPartitions(
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

/** Compares each live table with its archive, as the job does before it moves anything. */
async function checkArchives(connection: Connection, tables: readonly MaintainedTable[]): Promise<readonly Check[]> {
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
