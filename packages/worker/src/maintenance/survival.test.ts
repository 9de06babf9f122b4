import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { createPool, migrate, type Queryable } from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';
import { expect, it } from 'vitest';
import { runFixture } from '../../test/run-fixture.ts';

const ROWS = 200_000;

/** Number of rows, number of ids and a sum over all contents of source ∪ archive; and what is in both. */
async function fingerprint(pool: Queryable): Promise<object> {
  const { rows } = await pool.query<Record<string, unknown>>(`
    SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids, sum(hashtextextended(content, 0))::text AS contents,
           (SELECT count(*)::int FROM api_call_logs JOIN archive.api_call_logs USING (id)) AS both
    FROM (SELECT id, to_jsonb(l)::text AS content FROM api_call_logs l
          UNION ALL
          SELECT id, (to_jsonb(a) - 'archived_at')::text FROM archive.api_call_logs a) AS everything`);
  return rows[0] ?? {};
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
}

it('archives 200,000 rows, none lost and none doubled, though it is killed twice and Postgres once', async () => {
  const server = await startPostgres({ durable: true });
  await migrate({ connectionString: server.url });
  const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 120_000 });
  await pool.query(`
    INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
    SELECT 'user-' || n % 100, 'GET', '/v1/' || n, 200, n % 500, now() - interval '31 days' - n * interval '40 seconds'
    FROM generate_series(1, ${ROWS}) AS n`);
  await pool.query(`
    INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, created_at)
    SELECT 'GET', '/young', 200, 1, now() - interval '29 days' FROM generate_series(1, 100)`);
  const before = await fingerprint(pool);
  expect(before).toMatchObject({ rows: ROWS + 100, ids: ROWS + 100, both: 0 });

  const runUntil = async (enough: number, interrupt: (child: ChildProcess) => Promise<unknown>) => {
    const child = await runFixture('archive.fixture.ts', [server.url, '1000']);
    const ended = once(child, 'exit');
    const lines: { done?: number; status?: string; crashedBefore?: number }[] = [];
    let interrupted: Promise<unknown> | undefined;
    for await (const line of createInterface({ input: child.stdout ?? process.stdin })) {
      const said = JSON.parse(line);
      lines.push(said);
      if (said.done >= enough) interrupted ??= interrupt(child);
    }
    await ended;
    await interrupted;
    return lines.at(-1);
  };

  await runUntil(20_000, kill);
  expect(await fingerprint(pool)).toEqual(before);
  await runUntil(50_000, kill);
  await runUntil(30_000, async () => {
    await server.kill();
    await server.restart();
  });
  await expect.poll(() => fingerprint(pool).catch(() => null), { timeout: 20_000 }).toEqual(before);
  expect(await runUntil(Number.POSITIVE_INFINITY, kill)).toMatchObject({ status: 'completed', crashedBefore: 1 });

  expect(await fingerprint(pool)).toEqual(before);
  const left = await pool.query(`SELECT count(*)::int AS live FROM api_call_logs`);
  expect(left.rows).toEqual([{ live: 100 }]);
  const runs = await pool.query(
    `SELECT array_agg(status ORDER BY started_at) AS statuses, sum(archived_count)::int AS archived,
            sum(deleted_count)::int AS deleted FROM archive.archival_runs`,
  );
  // The counts are committed with the rows, so those of dead runs are exact too.
  expect(runs.rows).toEqual([
    { statuses: ['crashed', 'crashed', 'crashed', 'completed'], archived: ROWS, deleted: ROWS },
  ]);
  await pool.end();
  await server.stop();
}, 180_000);
