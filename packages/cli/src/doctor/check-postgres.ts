import {
  type Connection,
  type ConnectionSource,
  createPool,
  listExposures,
  readServer,
  withConnection,
  readBackendPid,
} from '@spillway/db';
import type { MaintainedTable } from '@spillway/worker';
import { checkArchives, checkPartitions } from './check-partitions.ts';
import { type Check, check, unreachable } from './check.ts';

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
    const advice = 'Start Postgres, or set DATABASE_URL to where it is.';
    return { checks: [unreachable('DATABASE_URL reachable', error, advice)], clockMs: null };
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
  const found = exposures.length === 0 ? "open to nobody but Spillway's roles" : [...shown, ...more].join('; ');
  return check('DATABASE_URL privileges', found, exposures.length === 0, {
    status: 'fail',
    advice: 'Run spillway migrate as the owner of the tables, which takes them away.',
  });
}

/** What stands between a client and Postgres. */
export type Pooling = 'direct' | 'session pooler' | 'transaction pooler';

/**
 * Finds out by asking for process ids. Postgres tells a new connection its own; a pooler makes one up. A pooler in transaction
 * mode gives the server connection that one client has just left to the next client, while one in session mode keeps
 * it for the first. Other clients' traffic may hide that: then a transaction pooler is taken for a session pooler.
 */
export async function findPooling(pool: ConnectionSource, connection: Connection): Promise<Pooling> {
  const pid = await readBackendPid(connection);
  const told: unknown = Reflect.get(connection, 'processID');
  if (told === pid) return 'direct';
  const other = await withConnection(pool, readBackendPid);
  return other === pid ? 'transaction pooler' : 'session pooler';
}
