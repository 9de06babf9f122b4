import { type ApiKeyRow, apiKeyColumns } from './api-key-row.ts';
import { keysetList, type ListRows, type PageOptions } from './keyset-page.ts';

/** Which keys, and from where on. */
export interface ListApiKeysOptions extends PageOptions {
  /** true: can be used now; false: revoked or expired. @default both */
  readonly active?: boolean;
}

/** One page of keys, newest first, filtered. */
export const listApiKeys: ListRows<ApiKeyRow, ListApiKeysOptions> = keysetList({
  table: 'spillway.api_keys',
  columns: apiKeyColumns,
  time: 'created_at',
  timeMs: ({ createdAtMs }) => createdAtMs,
  filters: [
    {
      type: 'bool',
      where: (active) => `${active} = (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))`,
      read: ({ active }) => active,
    },
  ],
});
