import type { Queryable } from '../connection/connection.ts';
import type { ApiKeyRow } from '../queries/api-key-row.ts';
import { insertApiKey, type NewApiKey } from '../queries/insert-api-key.ts';
import { generateKey } from './api-key.ts';

/** What a key is made from. */
export type CreateApiKeyOptions = Pick<NewApiKey, 'name' | 'scopes' | 'expiresInMs'>;

/** A key that was just made: the only moment in which it can be read. */
export interface CreatedApiKey {
  /** `sw_<id>_<secret>`. */
  readonly key: string;
  readonly row: ApiKeyRow;
}

/** Makes a key and stores the hash of its secret. */
export async function createApiKey(db: Queryable, options: CreateApiKeyOptions): Promise<CreatedApiKey> {
  const { key, ...made } = generateKey();
  return { key, row: await insertApiKey(db, { ...options, ...made }) };
}
