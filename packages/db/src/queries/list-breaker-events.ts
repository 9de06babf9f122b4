import { epochMs, keysetList, type ListRows, type PageOptions } from './keyset-page.ts';

/** What happened to a breaker, as it is read. Times are epoch ms. */
export interface StoredBreakerEvent {
  readonly id: string;
  readonly breakerName: string;
  readonly preset: string;
  readonly eventType: 'opened' | 'closed' | 'half_open' | 'failure' | 'success';
  readonly failureCount: number;
  readonly errorMessage: string | null;
  readonly metadata: unknown;
  /** Of a transition: counts them per breaker; null for failures and successes. */
  readonly breakerEpoch: number | null;
  readonly createdAtMs: number;
}

/** Which breaker events, and from where on. */
export interface ListBreakerEventsOptions extends PageOptions {
  readonly breakerName?: string;
  readonly preset?: string;
  readonly eventType?: string;
}

/** One page of breaker events, newest first, filtered. */
export const listBreakerEvents: ListRows<StoredBreakerEvent, ListBreakerEventsOptions> = keysetList({
  table: 'public.circuit_breaker_events',
  columns: `id, breaker_name AS "breakerName", preset, event_type AS "eventType", failure_count::float8 AS "failureCount",
    error_message AS "errorMessage", metadata, breaker_epoch::float8 AS "breakerEpoch", ${epochMs('created_at', 'createdAtMs')}`,
  time: 'created_at',
  timeMs: ({ createdAtMs }) => createdAtMs,
  filters: [
    { type: 'text', where: (name) => `breaker_name = ${name}`, read: ({ breakerName }) => breakerName },
    { type: 'text', where: (preset) => `preset = ${preset}`, read: ({ preset }) => preset },
    { type: 'text', where: (type) => `event_type = ${type}`, read: ({ eventType }) => eventType },
  ],
});
