import { epochMs } from './keyset-page.ts';

/**
 * What a key may do. `decide`: ask for decisions. `read`: look at the trail, policies, breakers and metrics. `metrics`: record
 * samples. `operate`: block, unblock and reset subjects, set overrides and list entries, move breakers, retry failed jobs.
 * `maintain`: run maintenance jobs. `admin`: everything, policies and keys included.
 */
export type ApiKeyScope = 'decide' | 'read' | 'metrics' | 'operate' | 'maintain' | 'admin';

/** Every scope. */
export const apiKeyScopes: readonly [ApiKeyScope, ...ApiKeyScope[]] = [
  'decide',
  'read',
  'metrics',
  'operate',
  'maintain',
  'admin',
];

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
