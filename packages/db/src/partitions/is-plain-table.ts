import type { Connection } from '../connection/connection.ts';
import type { TableName } from './partitioned-table.ts';

/** Whether there is such a table and it isn't partitioned: an archive may be one, and then it needs no months. */
export async function isPlainTable(connection: Connection, { schema, name }: TableName): Promise<boolean> {
  const { rowCount } = await connection.query(
    `SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r'`,
    [schema, name],
  );
  return rowCount === 1;
}
