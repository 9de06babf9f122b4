import type { ClientBase, PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';

/** Anything that runs one statement: a pool, a pool's client or a client. */
export interface Queryable {
  query<Row extends QueryResultRow>(statement: string | QueryConfig, values?: unknown[]): Promise<QueryResult<Row>>;
}

/**
 * One connection, for work that must stay on it: transactions, session locks. A `Pool` has no `escapeIdentifier`, so the
 * compiler refuses it here; on a pool, BEGIN and COMMIT would go to different connections.
 */
export type Connection = Queryable & Pick<ClientBase, 'escapeIdentifier'>;

/** Where connections come from; pg's `Pool` is one. */
export interface ConnectionSource {
  connect(): Promise<PoolClient>;
}
