import type { Queryable } from '../connection/connection.ts';

const QUERY = 'UPDATE spillway.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1';

/** Ends a key at once; ending it again changes nothing. @returns whether there is such a key. */
export async function revokeApiKey(db: Queryable, id: string): Promise<boolean> {
  const { rowCount } = await db.query(QUERY, [id]);
  return rowCount === 1;
}
