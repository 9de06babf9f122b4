import type { Queryable } from '../connection/connection.ts';
import { type ApiKeyRow, apiKeyColumns, type ApiKeyScope } from './api-key-row.ts';

/** A key to be. The caller made id and secret. */
export interface NewApiKey {
  /** UUID. */
  readonly id: string;
  /** SHA-256 of the secret, 32 bytes. */
  readonly secretHash: Buffer;
  readonly name: string;
  /** At least one. */
  readonly scopes: readonly ApiKeyScope[];
  /** How long it is valid, in ms from now by Postgres' clock. @default for ever */
  readonly expiresInMs?: number;
}

const QUERY = `
  INSERT INTO spillway.api_keys (id, name, secret_hash, scopes, expires_at)
  VALUES ($1, $2, $3, $4, now() + $5::float8 * interval '1 millisecond')
  RETURNING ${apiKeyColumns}`;

/** Stores a key. */
export async function insertApiKey(db: Queryable, key: NewApiKey): Promise<ApiKeyRow> {
  const { id, name, secretHash, scopes, expiresInMs } = key;
  const { rows } = await db.query<ApiKeyRow>(QUERY, [id, name, secretHash, scopes, expiresInMs ?? null]);
  const [row] = rows;
  if (row === undefined) throw new Error('the insert returned no row');
  return row;
}
