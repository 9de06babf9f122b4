/*
 * Runs one SQL statement and prints its rows, for machines without psql:
 *
 *     node start/dist/query.js 'postgres://…' "SELECT …"
 */
import { createPool } from '@spillway/db';

const [connectionString, sql] = process.argv.slice(2);
if (connectionString === undefined || sql === undefined) {
  console.error('usage: node start/dist/query.js \'postgres://…\' "SELECT …"');
  process.exitCode = 2;
} else {
  try {
    const pool = createPool({ connectionString, onError: () => undefined, max: 1 });
    const { rows } = await pool.query<Record<string, unknown>>(sql);
    console.table(rows);
    await pool.end();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
