import { readdir, readFile } from 'node:fs/promises';
import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api';
import { describe, expect, test } from 'vitest';
import { migrationsFolder } from './migrate/migration-folder.ts';
import * as tables from './schema/index.ts';
import { blockRow, breakerEventRow, useDatabase } from '../test/use-database.ts';
import { dumpSchema } from '../test/dump-schema.ts';
import { upsertBlocks, insertBreakerEvents } from './trail/event-rows.ts';

const database = useDatabase();
describe('the schema', () => {
  test('after all migrations is what drizzle/schema.sql says', async () => {
    await expect(await dumpSchema(database.pool)).toMatchFileSnapshot('../../../drizzle/schema.sql');
  });

  test.each([
    ['a comment on a table', `COMMENT ON TABLE rate_limits_v2 IS 'x'`],
    ['a comment on a column', `COMMENT ON COLUMN rate_limits_v2.tier IS 'x'`],
    ['a comment on a policy', `COMMENT ON POLICY spillway ON rate_limits_v2 IS 'x'`],
    ['a comment on a schema', `COMMENT ON SCHEMA spillway IS 'x'`],
    ['a privilege on a table', 'GRANT SELECT ON spillway.api_keys TO PUBLIC'],
    ['a privilege on a column', 'GRANT UPDATE (tier) ON rate_limits_v2 TO spillway_reader'],
    ['a privilege on a function', 'REVOKE EXECUTE ON FUNCTION record_metric FROM spillway_writer'],
    ['a privilege on a schema', 'GRANT CREATE ON SCHEMA spillway TO spillway_writer'],
    ['a policy', 'DROP POLICY spillway ON rate_limits_v2'],
    ['row level security', 'ALTER TABLE system_metrics DISABLE ROW LEVEL SECURITY'],
    ['a setting of a table', 'ALTER TABLE rate_limits_v2 SET (fillfactor = 50)'],
  ])('cannot change in %s without drizzle/schema.sql', async (_, change) => {
    const before = await dumpSchema(database.pool);
    await database.pool.query(change);
    expect(await dumpSchema(database.pool)).not.toBe(before);
  });

  test('in TypeScript has no change that lacks a migration', async () => {
    const snapshots = (await readdir(`${migrationsFolder}/meta`)).filter((file) => file.endsWith('_snapshot.json'));
    const newest = snapshots.toSorted().at(-1) ?? '';
    const previous = JSON.parse(await readFile(`${migrationsFolder}/meta/${newest}`, 'utf8'));
    expect(await generateMigration(previous, generateDrizzleJson(tables, previous.id))).toEqual([]);
  });

  test('in TypeScript exports the tables of every file', async () => {
    const folder = new URL('schema/', import.meta.url);
    const index = await readFile(new URL('index.ts', folder), 'utf8');
    const helpers = new Set(['index.ts', 'outbox-identity.ts', 'timestamps.ts']);
    const files = (await readdir(folder)).filter((file) => !helpers.has(file));
    expect(files.filter((file) => !index.includes(`'./${file}'`))).toEqual([]);
  });

  test.each(['api_call_logs', 'audit_logs', 'generations'])(
    'archives %s with the same columns, in order',
    async (name) => {
      const { rows } = await database.pool.query(
        `SELECT table_schema, array_agg(concat_ws(' ', column_name, data_type, column_default, is_nullable)
                                      ORDER BY ordinal_position) AS columns
       FROM information_schema.columns WHERE table_name = $1 GROUP BY table_schema ORDER BY table_schema DESC`,
        [name],
      );
      const [live, archived] = rows;
      expect(archived.columns).toEqual([...live.columns, 'archived_at timestamp with time zone now() NO']);
    },
  );
});

// The text is the guide's, character for character.
describe("the guide's monitoring queries", () => {
  test('count the blocks of the last 24 hours', async () => {
    const now = Date.now();
    await upsertBlocks(database.pool, [
      blockRow({ blockedUntilMs: now - 25 * 3_600_000 }),
      blockRow({ blockedUntilMs: now - 23 * 3_600_000 }),
      blockRow({ blockedUntilMs: Number.POSITIVE_INFINITY }),
    ]);
    const { rows } = await database.pool.query(
      `SELECT COUNT(*) FROM rate_limits_v2 WHERE blocked_until > now() - interval '24 hours';`,
    );
    expect(rows).toEqual([{ count: '2' }]);
  });

  test('count the breaker events of the last 24 hours by breaker and type', async () => {
    const createdAtMs = Date.now() - 3_600_000;
    await insertBreakerEvents(database.pool, [
      breakerEventRow({ createdAtMs, breakerEpoch: 1 }),
      breakerEventRow({ createdAtMs, breakerEpoch: 2 }),
      breakerEventRow({ createdAtMs, eventType: 'failure', breakerEpoch: null }),
      breakerEventRow({ createdAtMs: createdAtMs - 86_400_000, breakerEpoch: 3 }),
    ]);
    const { rows } = await database.pool.query(`SELECT breaker_name, event_type, COUNT(*) 
FROM circuit_breaker_events 
WHERE created_at > now() - interval '24 hours'
GROUP BY breaker_name, event_type;`);
    expect(rows.toSorted((a, b) => a.event_type.localeCompare(b.event_type))).toEqual([
      { breaker_name: 'runware', event_type: 'failure', count: '1' },
      { breaker_name: 'runware', event_type: 'opened', count: '2' },
    ]);
  });

  test('show the last ten archival runs, newest first', async () => {
    await database.pool.query(`
      INSERT INTO archive.archival_runs (started_at, table_name)
      SELECT now() - hours * interval '1 hour', 'run ' || hours FROM generate_series(1, 12) AS hours`);
    const { rows } = await database.pool.query(
      'SELECT * FROM archive.archival_runs ORDER BY started_at DESC LIMIT 10;',
    );
    expect(rows.map((row) => row.table_name)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((hours) => `run ${hours}`));
    expect(rows[0]).toMatchObject({ status: 'running', archived_count: '0', deleted_count: '0', finished_at: null });
  });
});

describe('record_metric and get_metric_stats', () => {
  test('give statistics of what was recorded', async () => {
    for (const value of [40, 10, 30, 20]) {
      const { rows } = await database.pool.query(`SELECT record_metric('lag', $1, 'ms', '{"shard": 1}') AS id`, [
        value,
      ]);
      expect(rows[0].id).toMatch(/^[0-9a-f-]{36}$/u);
    }
    await database.pool.query(`SELECT record_metric('other', 1e6)`);
    await database.pool.query(`
      INSERT INTO system_metrics (metric_name, metric_value, recorded_at) VALUES ('lag', 9999, now() - interval '25 hours')`);
    const { rows } = await database.pool.query(`SELECT * FROM get_metric_stats('lag')`);
    expect(rows).toEqual([
      {
        min_value: '10',
        max_value: '40',
        avg_value: '25.0000000000000000',
        count: '4',
        last_value: '20',
        last_recorded_at: expect.any(Date),
        p50: 25,
        p95: 38.5,
        p99: expect.closeTo(39.7, 9),
      },
    ]);
    const wider = await database.pool.query(
      `SELECT count, max_value FROM get_metric_stats(p_name => 'lag', p_hours => 26)`,
    );
    expect(wider.rows).toEqual([{ count: '5', max_value: '9999' }]);
  });

  test('give one row for a metric that was never recorded', async () => {
    const { rows } = await database.pool.query(`SELECT * FROM get_metric_stats('never')`);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ count: '0', min_value: null, last_value: null, p99: null });
  });

  test('store what was left out as null and an empty object', async () => {
    await database.pool.query(`SELECT record_metric('plain', 1), record_metric('nulls', 2, NULL, NULL)`);
    const { rows } = await database.pool.query('SELECT DISTINCT metric_unit, tags FROM system_metrics');
    expect(rows).toEqual([{ metric_unit: null, tags: {} }]);
  });

  test.each(['NaN', 'Infinity', '-Infinity'])('refuse %s, which would spoil every statistic', async (value) => {
    await expect(database.pool.query(`SELECT record_metric('bad', $1)`, [value])).rejects.toMatchObject({
      code: '23514',
    });
  });
});
