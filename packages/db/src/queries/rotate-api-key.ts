import type { Queryable } from '../connection/connection.ts';
import { type ApiKeyRow, apiKeyColumns } from './api-key-row.ts';

/** How to replace a key. */
export interface ApiKeyRotation {
  /** The key to replace. */
  readonly replaces: string;
  /** UUID of the new one. */
  readonly id: string;
  /** SHA-256 of the new secret, 32 bytes. */
  readonly secretHash: Buffer;
  /** How long the old key stays valid, in ms. */
  readonly graceMs: number;
}

/*
 * One statement: the old key gets its end in the moment in which the new one begins. A key that would have ended sooner
 * still does. The new one is valid for as long as the old one was meant to be.
 */
const QUERY = `
  WITH old AS (
    SELECT id, name, scopes, created_at, expires_at FROM spillway.api_keys
    WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
    FOR UPDATE
  ), retired AS (
    UPDATE spillway.api_keys AS stored SET expires_at = least(stored.expires_at, now() + $4::float8 * interval '1 millisecond')
    FROM old WHERE stored.id = old.id
  )
  INSERT INTO spillway.api_keys (id, name, secret_hash, scopes, replaces, expires_at)
  SELECT $2, name, $3, scopes, id, now() + (expires_at - created_at) FROM old
  RETURNING ${apiKeyColumns}`;

/** Makes a key with the name and scopes of another one, which ends soon. @returns undefined when that one is no valid key. */
export async function rotateApiKey(db: Queryable, rotation: ApiKeyRotation): Promise<ApiKeyRow | undefined> {
  const { replaces, id, secretHash, graceMs } = rotation;
  const { rows } = await db.query<ApiKeyRow>(QUERY, [replaces, id, secretHash, graceMs]);
  return rows[0];
}
