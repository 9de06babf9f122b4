import type { Connection } from '../connection/connection.ts';
import type { TableName } from './partitioned-table.ts';

/** Whether there is such a table and it isn't partitioned: an archive may be one, and then it needs no months. */
export async function isPlainTable(connection: Connection, { schema, name }: TableName): Promise<boolean> {
  return isOfKind(connection, schema, name, 'r');
}

/** Whether there is such a table and it is partitioned. */
export async function isPartitionedTable(connection: Connection, { schema, name }: TableName): Promise<boolean> {
  return isOfKind(connection, schema, name, 'p');
}

async function isOfKind(connection: Connection, schema: string, name: string, kind: 'r' | 'p'): Promise<boolean> {
  const { rowCount } = await connection.query(
    `SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind::text = $3`,
    [schema, name, kind],
  );
  return rowCount === 1;
}
