import { type SQL, sql } from 'drizzle-orm';
import type { PgColumn } from 'drizzle-orm/pg-core';

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
 * What an API key may do. `decide`: ask for decisions. `read`: look at the trail, policies, breakers and metrics. `metrics`: record
 * samples. `operate`: block, unblock and reset subjects, set overrides and list entries, move breakers, retry failed jobs,
 * resolve gaps. `maintain`: run maintenance jobs, resolve gaps. `admin`: everything, policies and keys included.
 */
export const apiKeyScopes = ['decide', 'read', 'metrics', 'operate', 'maintain', 'admin'] as const;

/** How a maintenance run of one table stands. `partial`: in order, but there is more to do. */
export const archivalRunStatuses = ['running', 'completed', 'partial', 'failed', 'crashed'] as const;

/** What asked for a maintenance run. */
export const runTriggers = ['schedule', 'http', 'cli'] as const;

/** How a maintenance run stands. `baseline`: no run, but where a job's history begins. */
export const jobRunStatuses = ['baseline', ...archivalRunStatuses] as const;

/** The condition of a check: the column holds one of these words. */
export const oneOf = (column: PgColumn, words: readonly string[]): SQL => sql`${column} in (${sql.raw(quoted(words))})`;

/** Words as SQL literals. Only for words of ours, which need no escape. */
export const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(', ');
