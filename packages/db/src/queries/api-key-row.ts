import { epochMs } from './keyset-page.ts';

/** What a key may do: ask for decisions, read the trail, or everything. */
export type ApiKeyScope = 'decide' | 'read' | 'admin';

/** A key as it is shown: never its secret, nor the hash of it. Times are epoch ms. */
export interface ApiKeyRow {
  /** UUID. */
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly ApiKeyScope[];
  /** The key that this one replaces; null for one that no rotation made. */
  readonly replaces: string | null;
  readonly createdAtMs: number;
  /** Null = never. */
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  /** To the minute. */
  readonly lastUsedAtMs: number | null;
}

/** The columns of {@link ApiKeyRow}, as SQL. */
export const apiKeyColumns: string = `id, name, scopes, replaces,
  ${epochMs('created_at', 'createdAtMs')}, ${epochMs('expires_at', 'expiresAtMs')},
  ${epochMs('revoked_at', 'revokedAtMs')}, ${epochMs('last_used_at', 'lastUsedAtMs')}`;
