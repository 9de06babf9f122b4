import { type SQL, sql } from 'drizzle-orm';
import { customType, timestamp, bigint, integer, PgSchema, pgSchema, type PgColumn } from 'drizzle-orm/pg-core';

/** Every point in time is a timestamptz: a plain `timestamp` changes meaning with the session's time zone. */
export const timestamptz = (name: string) => timestamp(name, { withTimezone: true });

/** When the row's subject came to be; the column that partitions, retention and keyset pagination go by. */
export const createdAt = () => timestamptz('created_at').notNull().defaultNow();

/**
 * A timestamptz as epoch milliseconds, with decimals for the microseconds and `Infinity` for no end. A Date holds neither: it
 * drops the microseconds, and of 'infinity' it makes an invalid date.
 */
export const epochMs = customType<{ data: number; driverData: string }>({
  dataType: () => 'timestamp with time zone',
  toDriver: (ms) => sql`to_timestamp(${ms}::float8 / 1000)`,
  fromDriver: parseTimestamptz,
});

/** By Postgres' clock. */
export const now: SQL = sql`now()`;

/** {@link createdAt} as epoch milliseconds. */
export const createdAtMs = () => epochMs('created_at').notNull().default(now);

const ISO = /^(\d{4,6}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?([+-]\d\d)(?::(\d\d))?(?::(\d\d))?$/u;

/** Reads what Postgres writes with DateStyle ISO, its default. */
function parseTimestamptz(text: string): number {
  if (text === 'infinity') return Number.POSITIVE_INFINITY;
  if (text === '-infinity') return Number.NEGATIVE_INFINITY;
  const [, date = '', time, fraction = '0', hours, minutes = '0', seconds = '0'] = ISO.exec(text) ?? [];
  if (hours === undefined) throw new RangeError(`no timestamptz of DateStyle ISO: ${text}`);
  const offsetS = Number(hours) * 3_600 + (hours.startsWith('-') ? -1 : 1) * (Number(minutes) * 60 + Number(seconds));
  const year = date.length > 10 ? `+${date.padStart(12, '0')}` : date;
  return Date.parse(`${year}T${time}Z`) + Number(fraction) * 1_000 - offsetS * 1_000;
}

/**
 * Where an event was in the outbox: its shard, the epoch of that shard's sequence counter, and its sequence number.
 * Rows that only the outbox makes carry all three; the reconcile reads them to find what is missing.
 * Their index is deliberately not unique: the primary key is computed from these three and the event's time.
 */
export const outboxIdentity = () => ({
  outboxShard: integer('outbox_shard').notNull(),
  outboxEpoch: bigint('outbox_epoch', { mode: 'number' }).notNull(),
  outboxSeq: bigint('outbox_seq', { mode: 'number' }).notNull(),
});

/** Cold rows of the live tables, and the history of their maintenance. */
export const archive = pgSchema('archive');

/** Every table and function of Spillway's own. Nothing of an application is here, and PostgREST does not expose it. */
export const spillway = pgSchema('spillway');

/**
 * The default schema, named in every query, so that no `search_path` decides which table is meant. By the class, since
 * `pgSchema()` refuses this name.
 */
export const publicSchema = new PgSchema('public');

/** Whether a block kept requests out (`enforce`) or only recorded that it would have (`shadow`). */
export const blockModes = ['enforce', 'shadow'] as const;

/** What can happen to a circuit breaker: three transitions, and the two outcomes that lead to them. */
export const breakerEventTypes = ['opened', 'closed', 'half_open', 'failure', 'success'] as const;

/** The kinds of gap that Spillway records. The column takes any text, so that a new producer needs no migration. */
export const gapKinds = [
  'missing',
  'dropped',
  'epoch_ended',
  'seq_reused',
  'blocks_capped',
  'limiter_outage',
  'breaker_outage',
] as const;

/** One of {@link gapKinds}. */
export type GapKind = (typeof gapKinds)[number];

/**
 * What an API key may do. `decide`: ask for decisions. `report`: take part in breakers. `read`: look at the trail, policies, breakers
 * and metrics. `metrics`: record samples. `operate`: block, unblock and reset subjects, set overrides and list entries, move breakers, retry failed jobs,
 * resolve gaps. `maintain`: run maintenance jobs, resolve gaps. `admin`: everything, policies and keys included.
 */
export const apiKeyScopes = ['decide', 'report', 'read', 'metrics', 'operate', 'maintain', 'admin'] as const;

/** The status of a maintenance run of one table. `partial`: in order, but there is more to do. */
export const archivalRunStatuses = ['running', 'completed', 'partial', 'failed', 'crashed'] as const;

/** What asked for a maintenance run. */
export const runTriggers = ['schedule', 'http', 'cli'] as const;

/** The status of a maintenance run. `baseline`: no run, but where a job's history begins. */
export const jobRunStatuses = ['baseline', ...archivalRunStatuses] as const;

/** The condition of a check: the column holds one of these words. */
export const oneOf = (column: PgColumn, words: readonly string[]): SQL => sql`${column} in (${sql.raw(quoted(words))})`;

/** Words as SQL literals. Only for words of ours, which need no escape. */
export const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(', ');
