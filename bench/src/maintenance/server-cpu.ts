import { readFileSync } from 'node:fs';
import type { Queryable } from '@spillway/db';

/** Clock ticks a second, as Linux tells times to programs; the same on every machine that Node runs on. */
const TICKS = 100;

/**
 * Makes a meter of the CPU that the connection's server process has used, in seconds. It reads Linux' /proc, so it gives
 * undefined elsewhere, and where the server is in a container or on another machine.
 */
export async function serverCpu(connection: Queryable): Promise<() => number | undefined> {
  const { rows } = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const file = `/proc/${rows[0]?.pid}/stat`;
  return () => {
    try {
      // The program's name, in brackets, may hold blanks: fields are counted from behind it.
      const fields = readFileSync(file, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / TICKS;
    } catch {
      return undefined;
    }
  };
}
