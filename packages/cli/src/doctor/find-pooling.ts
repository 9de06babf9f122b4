import { type Connection, type ConnectionSource, readBackendPid, withConnection } from '@spillway/db';

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
