import { sql } from 'drizzle-orm';
import { check, customType, index, text, uuid } from 'drizzle-orm/pg-core';
import { apiKeyScopes, quoted, spillway, createdAtMs, epochMs } from './columns.ts';

/** Drizzle has no bytea of its own. */
const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });

/**
 * Keys of the HTTP API. The secret itself is stored nowhere: `secret_hash` is its SHA-256. A revoked or expired row
 * stays, as a record of who had access and when.
 */
export const apiKeys = spillway.table(
  'api_keys',
  {
    id: uuid('id').primaryKey(),
    name: text('name').notNull(),
    /** SHA-256 of the secret. */
    secretHash: bytea('secret_hash').notNull(),
    scopes: text('scopes', { enum: apiKeyScopes }).array().notNull(),
    /** The key that this one was made to replace, by a rotation. */
    replaces: uuid('replaces'),
    createdAtMs: createdAtMs(),
    /** Null = never. */
    expiresAtMs: epochMs('expires_at'),
    revokedAtMs: epochMs('revoked_at'),
    /** To the minute. */
    lastUsedAtMs: epochMs('last_used_at'),
  },
  (table) => [
    check('api_keys_hash_check', sql`octet_length(${table.secretHash}) = 32`),
    check(
      'api_keys_scopes_check',
      sql`cardinality(${table.scopes}) > 0 and ${table.scopes} <@ array[${sql.raw(quoted(apiKeyScopes))}]`,
    ),
    index('api_keys_created_at_idx').on(table.createdAtMs, table.id),
  ],
);
