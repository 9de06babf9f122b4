import { archiveRows } from '../src/archive/archive-rows.ts';
import { cutoff, orders } from './orders.ts';
import { withConnection, createPool } from '../src/connection.ts';

/** Archives the orders in a process of its own, to be killed. Writes the number of its server process first. */
const [connectionString = ''] = process.argv.slice(2);
const pool = createPool({ connectionString, onError: () => {} });
await withConnection(pool, async (connection) => {
  const { rows } = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  process.stdout.write(`${rows[0]?.pid}\n`);
  await archiveRows(connection, orders, { cutoff });
});
await pool.end();
