import type { BlockRow } from './block-row.ts';
import { epochMs, keysetList, type ListRows, type PageOptions } from './keyset-page.ts';

/** Which blocks, and from where on. */
export interface ListBlocksOptions extends PageOptions {
  readonly tier?: string;
  readonly action?: string;
  readonly identifier?: string;
  readonly mode?: string;
  /** true: still in force; false: expired. @default both */
  readonly active?: boolean;
}

/** One page of blocks, newest first, filtered. float8 is exact for every count below 2^53; int8 would be read as text. */
export const listBlocks: ListRows<BlockRow, ListBlocksOptions> = keysetList({
  table: 'public.rate_limits_v2',
  columns: `id, key, tier, action, identifier, mode,
    limit_count::float8 AS "limitCount",
    window_ms::float8 AS "windowMs",
    request_count::float8 AS "requestCount",
    denied_count::float8 AS "deniedCount",
    outbox_shard AS "outboxShard",
    outbox_epoch::float8 AS "outboxEpoch",
    outbox_seq::float8 AS "outboxSeq",
    ${epochMs('window_start', 'windowStartMs')},
    ${epochMs('last_request_at', 'lastRequestAtMs')},
    ${epochMs('blocked_until', 'blockedUntilMs')},
    ${epochMs('created_at', 'createdAtMs')},
    ${epochMs('updated_at', 'updatedAtMs')}`,
  time: 'created_at',
  timeMs: ({ createdAtMs }) => createdAtMs,
  filters: [
    { type: 'text', where: (tier) => `tier = ${tier}`, read: ({ tier }) => tier },
    { type: 'text', where: (action) => `action = ${action}`, read: ({ action }) => action },
    { type: 'text', where: (identifier) => `identifier = ${identifier}`, read: ({ identifier }) => identifier },
    { type: 'text', where: (mode) => `mode = ${mode}`, read: ({ mode }) => mode },
    { type: 'bool', where: (active) => `${active} = (blocked_until > now())`, read: ({ active }) => active },
  ],
});
