import { type ApiKeyRow, insertApiKey, type NewApiKey, type Queryable } from '@spillway/db';
import { generateKey } from './api-key.ts';

/** What a key is made from. */
export type CreateKeyOptions = Pick<NewApiKey, 'name' | 'scopes' | 'expiresInMs'>;

/** A key that was just made: the only moment in which it can be read. */
export interface CreatedKey {
  /** `sw_<id>_<secret>`. */
  readonly key: string;
  readonly row: ApiKeyRow;
}

/** Makes a key and stores the hash of its secret. */
export async function createKey(db: Queryable, options: CreateKeyOptions): Promise<CreatedKey> {
  const { key, ...made } = generateKey();
  return { key, row: await insertApiKey(db, { ...options, ...made }) };
}
