import type { Usage } from './process-usage.ts';

/** Groups of processes. */
export const groups = ['redis', 'postgres', 'pgbouncer', 'api', 'worker', 'provider', 'load'] as const;

/** One of {@link groups}. */
export type Group = (typeof groups)[number];

/** All that was looked at in one moment. */
export interface Sample {
  readonly atMs: number;
  readonly usage: Readonly<Record<Group, Usage>>;
  /** What Redis holds for its data, in bytes. */
  readonly redisUsedBytes: number;
  /** Connections of the fleet to Postgres. */
  readonly dbConnections: number;
  /** Clients of the pooler, and those of them who wait for a connection. */
  readonly poolerClients: number;
  readonly poolerWaiting: number;
  /** Age of the oldest event that no worker has taken, in ms. */
  readonly flushLagMs: number;
  /** Events in all outboxes. */
  readonly outboxEvents: number;
}
