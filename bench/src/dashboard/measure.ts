import { createPool, migrate, type Queryable } from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';
import { type Amounts, fill } from './fill.ts';
import type { Query } from './queries.ts';

type Pool = ReturnType<typeof createPool>;

/** Measures queries one after another over tables of one database. */
export interface Measuring {
  /** @returns the fastest of so many rounds */
  measure(query: Query, rounds: number): Promise<Cost>;
  /** Postgres' version, and the size of the database. */
  readonly database: { readonly version: string; readonly size: string };
}

/** Starts a Postgres, fills it, and ends it after `work`. Without JIT, which Postgres has off unless it was built with LLVM. */
export async function withTables<Result>(
  amounts: Amounts,
  work: (measuring: Measuring) => Promise<Result>,
): Promise<Result> {
  // What is written has to outlive nothing.
  const unsafe = [
    'fsync=off',
    'synchronous_commit=off',
    'full_page_writes=off',
    'wal_level=minimal',
    'max_wal_senders=0',
  ];
  const settings = ['max_wal_size=8GB', 'shared_buffers=2GB', 'maintenance_work_mem=1GB', 'jit=off', ...unsafe];
  const server = await startPostgres({ args: settings.flatMap((setting) => ['-c', setting]) });
  const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 3_600_000 });
  try {
    await migrate({ connectionString: server.url });
    await fill(pool, amounts);
    const { rows } = await pool.query<Measuring['database']>(
      'SELECT pg_size_pretty(pg_database_size(current_database())) AS size, version()',
    );
    const [database] = rows;
    if (database === undefined) throw new Error('the database says nothing of itself');
    return await work({ database, measure: async (query, rounds) => measure(pool, query, rounds) });
  } finally {
    await pool.end();
    await server.stop();
  }
}

/** What one run costs, by Postgres' own account. */
export interface Cost {
  /** To run, in ms. */
  readonly ms: number;
  /** To plan, in ms. */
  readonly planMs: number;
  /** Pages that were looked at. */
  readonly buffers: number;
}

/** The cost of a query's statements together; the fastest of so many rounds. */
async function measure(pool: Pool, run: Query, rounds: number): Promise<Cost> {
  const statements: [string, unknown[]][] = [];
  const recording: Queryable = {
    query: async (...call: Parameters<Queryable['query']>) => {
      const [text, params] = call;
      statements.push(statementOf(text, params));
      return pool.query(...call);
    },
  };
  await run(recording);
  let best: Cost = { ms: Infinity, planMs: 0, buffers: 0 };
  for (let round = 0; round < rounds; round += 1) {
    let [ms, planMs, buffers] = [0, 0, 0];
    for (const [text, params] of statements) {
      const { rows } = await pool.query(`EXPLAIN (ANALYZE, TIMING OFF, BUFFERS, FORMAT JSON) ${text}`, params);
      const [plan] = rows[0]['QUERY PLAN'];
      ms += plan['Execution Time'];
      planMs += plan['Planning Time'];
      buffers += plan['Plan']['Shared Hit Blocks'] + plan['Plan']['Shared Read Blocks'];
    }
    if (ms + planMs < best.ms + best.planMs) best = { ms, planMs, buffers };
  }
  return best;
}

/** pg takes a text, or an object with one. */
function statementOf(query: unknown, params: unknown): [string, unknown[]] {
  if (typeof query !== 'object' || query === null) return [String(query), listOf(params)];
  return [String(Reflect.get(query, 'text')), listOf(Reflect.get(query, 'values') ?? params)];
}

function listOf(own: unknown): unknown[] {
  return Array.isArray(own) ? own : [];
}
