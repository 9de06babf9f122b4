import type { Queryable } from '../connection/connection.ts';
import type { ApiKeyScope } from './api-key-row.ts';

/** All that a check of a key needs. */
export interface ActiveApiKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly ApiKeyScope[];
  /** SHA-256 of the secret. */
  readonly secretHash: Buffer;
  /** What is left of its time, by Postgres' clock; null = no end. */
  readonly expiresInMs: number | null;
}

const ACTIVE = 'revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())';

/*
 * Over all that a check depends on, and not over last_used_at. Computed from the rows instead of kept in a counter, so a
 * change by hand counts too, and a transaction that commits late is not overlooked.
 */
const VERSION_QUERY = `
  SELECT count(*) || ':' || coalesce(sum(hashtextextended(concat_ws('|', id, name, scopes, secret_hash, expires_at), 0)), 0)
    AS version
  FROM spillway.api_keys WHERE ${ACTIVE}`;

const QUERY = `
  SELECT id, name, scopes, secret_hash AS "secretHash",
         (extract(epoch FROM expires_at - now()) * 1000)::float8 AS "expiresInMs"
  FROM spillway.api_keys WHERE ${ACTIVE}`;

/** A text that changes when a key that can be used is added, changed or ended. Costs a scan of a small table. */
export async function apiKeysVersion(db: Queryable): Promise<string> {
  const { rows } = await db.query<{ version: string }>(VERSION_QUERY);
  return rows[0]?.version ?? '';
}

/** Every key that can be used now. */
export async function activeApiKeys(db: Queryable): Promise<readonly ActiveApiKey[]> {
  return (await db.query<ActiveApiKey>(QUERY)).rows;
}
