import { expect, it } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import type { Queryable } from '../connection.ts';
import { blockedActions, blocksOverview, countBlocksRunning } from './blocked-subjects.ts';
import { breakerOverview, jobOverview, listBreakers, presetsOfBreaker } from './overviews.ts';

const database = useDatabase();
const HOUR = 3_600_000;

const sql = async (text: string): Promise<void> => void (await database.pool.query(text));

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** Runs a query. @returns how its plans read as text, and how many rows of a table they read */
async function read(
  query: (db: Queryable) => Promise<unknown>,
  table: string,
): Promise<{ readonly text: string; readonly rows: number }> {
  const texts: string[] = [];
  let rows = 0;
  const add = (node: PlanNode): void => {
    const each = node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0);
    if (node['Relation Name'] === table) rows += each * node['Actual Loops'];
    for (const part of node.Plans ?? []) add(part);
  };
  const db: Queryable = {
    async query(asked, values) {
      const text = typeof asked === 'string' ? asked : asked.text;
      const plain = await database.pool.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, values);
      texts.push(plain.rows.map((row) => row['QUERY PLAN']).join('\n'));
      const run = `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${text}`;
      const analyzed = await database.pool.query<{ 'QUERY PLAN': readonly { readonly Plan: PlanNode }[] }>(run, values);
      for (const { Plan } of analyzed.rows.flatMap((row) => row['QUERY PLAN'])) add(Plan);
      return database.pool.query(asked, values);
    },
  };
  await query(db);
  return { text: texts.join('\n'), rows };
}

/** @param endsIn by `n`, which counts from 1 */
const blocks = (from: number, to: number, endsIn: string): Promise<void> =>
  sql(`
    INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, window_start, last_request_at,
      blocked_until, outbox_shard, outbox_epoch, outbox_seq, created_at)
    SELECT gen_random_uuid(), 'k', 'auth', 'a', 'user-' || n, 1, 1, 1, at, at, ${endsIn}, 1, 1, n, at
    FROM generate_series(${from}, ${to}) AS n CROSS JOIN LATERAL (SELECT now() - n * interval '10 seconds') AS t (at);
    ANALYZE rate_limits_v2`);

const events = (from: number, to: number, type: string, name: string, epoch = 'null', error = 'null'): Promise<void> =>
  sql(`
    INSERT INTO circuit_breaker_events (id, breaker_name, preset, event_type, failure_count, breaker_epoch, error_message,
      outbox_shard, outbox_epoch, outbox_seq, created_at)
    SELECT gen_random_uuid(), ${name}, 'ai_provider', '${type}', 1, ${epoch}, ${error}, 0, 1, n, now() - n * interval '1 second'
    FROM generate_series(${from}, ${to}) AS n;
    ANALYZE circuit_breaker_events`);

it('reads blocks by their indexes, however many there are', async () => {
  await blocks(1, 40_000, `at + interval '1 minute'`);
  const queries: ((db: Queryable) => Promise<unknown>)[] = [countBlocksRunning];
  for (const rangeMs of [HOUR / 4, 168 * HOUR]) {
    queries.push((db) => blocksOverview(db, rangeMs, 20));
    queries.push((db) => blocksOverview(db, rangeMs, 20, { tier: 'auth' }));
    queries.push((db) => blockedActions(db, rangeMs));
  }
  for (const query of queries) {
    const { text } = await read(query, 'rate_limits_v2');
    expect(text).toMatch(/Index (Only )?Scan.* on rate_limits_v2/u);
    expect(text).not.toContain('Seq Scan on rate_limits_v2');
    // Thousands of subjects are gone through once, not for each that is shown.
    expect(text).not.toContain('Nested Loop');
  }
});

it('counts the subjects of running blocks up to a bound, and says that there are more', async () => {
  await blocks(1, 19_999, `now() + interval '1 hour'`);
  expect(await countBlocksRunning(database.pool)).toEqual({ subjects: 19_999, lastOnly: null });
  for (const most of [40_000, 60_000]) {
    await blocks(most - 20_000, most, `now() + interval '1 hour'`);
    const { rows, text } = await read(countBlocksRunning, 'rate_limits_v2');
    expect(rows).toBe(20_000);
    expect(text).not.toContain('Seq Scan');
  }
  expect(await countBlocksRunning(database.pool)).toEqual({ subjects: expect.any(Number), lastOnly: 20_000 });
});

it('reads as many events of breakers however many there are, and finds the state of those that had some of late', async () => {
  await events(1, 30_000, 'failure', `'down-' || n % 3`, 'null', `'timeout ' || n`);
  await events(40_001, 41_500, 'closed', `'b-' || lpad((n - 40000)::text, 5, '0')`, 'n');
  // Behind all other names, and open.
  await events(1, 1, 'opened', `'z'`, '5');
  const overview = (db: Queryable): Promise<unknown> => breakerOverview(db, 168 * HOUR);
  const before = await read(overview, 'circuit_breaker_events');
  expect(before.rows).toBeLessThan(20_000 + 3 * 1_000);
  await events(41_501, 44_500, 'closed', `'c-' || lpad((n - 40000)::text, 5, '0')`, 'n');
  await events(50_001, 90_000, 'failure', `'down-' || n % 3`, 'null', `'timeout ' || n`);
  const after = await read(overview, 'circuit_breaker_events');
  expect(after.rows).toBe(before.rows);
  expect(after.text).not.toContain('Seq Scan on circuit_breaker_events');

  const { breakers, newestOnly } = await breakerOverview(database.pool, 168 * HOUR);
  expect(newestOnly).toBe(20_000);
  expect(breakers).toHaveLength(200);
  expect(breakers[3]).toMatchObject({ breakerName: 'z', state: 'open', openings: 1 });
  const down = breakers.filter(({ breakerName }) => breakerName.startsWith('down-'));
  // One a second: a rate is of the time that was looked at.
  expect(down.map(({ failuresPerMinute }) => Math.round(failuresPerMinute))).toEqual([20, 20, 20]);
  expect(down.map(({ lastError }) => lastError)).toEqual(['timeout 3', 'timeout 1', 'timeout 2']);
});

it('lists all breakers page by page, those without a transition too, and reads a page for a page', async () => {
  await events(1, 450, 'closed', `'b-' || lpad(n::text, 5, '0')`, 'n');
  await events(1, 2, 'failure', `'a-' || n`);
  const seen: string[] = [];
  for (;;) {
    const { breakerName, preset } = { breakerName: seen.at(-1) ?? '', preset: 'ai_provider' };
    const page = await listBreakers(database.pool, HOUR, { limit: 100, after: { breakerName, preset } });
    if (page.length === 0) break;
    expect(page.length).toBeLessThanOrEqual(100);
    seen.push(...page.map((each) => each.breakerName));
  }
  const names = Array.from({ length: 450 }, (_, index) => `b-${String(index + 1).padStart(5, '0')}`);
  expect(seen).toEqual(['a-1', 'a-2', ...names]);
  expect((await listBreakers(database.pool, HOUR, { limit: 3 })).map((each) => each.breakerName)).toEqual([
    'a-1',
    'a-2',
    'b-00001',
  ]);
});

it('finds the presets of a breaker, however many others there are', async () => {
  await events(1, 3_000, 'closed', `'b-' || n`, 'n');
  await sql(`UPDATE circuit_breaker_events SET preset = 'storage', breaker_name = 'b-1' WHERE breaker_name = 'b-2'`);
  await events(1, 1, 'failure', `'failing'`);
  expect(await presetsOfBreaker(database.pool, 'b-1')).toEqual(['ai_provider', 'storage']);
  expect(await presetsOfBreaker(database.pool, 'failing')).toEqual(['ai_provider']);
  expect(await presetsOfBreaker(database.pool, 'unheard')).toEqual([]);
  const { rows } = await read((db) => presetsOfBreaker(db, 'b-1'), 'circuit_breaker_events');
  expect(rows).toBeLessThan(20);
});

it('finds the last run of each job, however many runs there were', async () => {
  await sql(`
    INSERT INTO spillway.job_runs (job, trigger, status, started_at, due_at)
    SELECT 'job-' || n % 5, 'schedule', CASE WHEN n > 19995 THEN 'baseline' ELSE 'completed' END,
           now() - n * interval '1 minute', now() - n * interval '1 minute'
    FROM generate_series(1, 20000) AS n;
    ANALYZE spillway.job_runs`);
  const { rows, text } = await read(jobOverview, 'job_runs');
  expect(rows).toBeLessThan(30);
  expect(text).not.toContain('Seq Scan on job_runs');
  const last = await jobOverview(database.pool);
  expect(last.map(({ job }) => job)).toEqual(['job-0', 'job-1', 'job-2', 'job-3', 'job-4']);
  const ages = last.map(({ startedAtMs }) => Math.round((Date.now() - startedAtMs) / 60_000));
  expect(ages).toEqual([5, 1, 2, 3, 4]);
});
