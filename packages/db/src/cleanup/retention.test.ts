import { describe, expect, test } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { cleanUpRows } from './clean-up-rows.ts';
import { builtInCleanups, type CleanUpOptions, type CleanUpReport, type CleanupRule } from './cleanup-rule.ts';
import { withConnection } from '../connection.ts';
import { ensureMetricDays } from '../metrics.ts';

const database = useDatabase();

const sql = async (text: string): Promise<unknown[]> => (await database.pool.query(text)).rows;

function ruleOf(name: string): CleanupRule {
  const rule = builtInCleanups.find(({ table }) => table.name === name);
  if (rule === undefined) throw new Error(`no rule for ${name}`);
  return rule;
}

async function cleanUp(name: string, options: CleanUpOptions = {}): Promise<CleanUpReport> {
  return withConnection(database.pool, async (connection) => cleanUpRows(connection, ruleOf(name), options));
}

const age = (days: number): string => `now() - interval '${days} days'`;

/** One sample at noon (UTC) of each of the days, so many days ago, the second of them from an outbox. */
async function addSamples(...daysAgo: number[]): Promise<void> {
  await withConnection(database.pool, async (connection) =>
    ensureMetricDays(connection, { daysBehind: Math.max(...daysAgo) }),
  );
  for (const days of daysAgo) {
    await sql(`INSERT INTO system_metrics (metric_name, metric_value, recorded_at, outbox_shard, outbox_epoch, outbox_seq)
      VALUES ('m', 1, date_trunc('day', now(), 'UTC') - interval '${days} days' + interval '12 hours', 3, 9, ${100 - days})`);
  }
}

const days = async (): Promise<unknown[]> =>
  sql(`SELECT relname FROM pg_class WHERE relname ~ '^system_metrics_[0-9_]{10}$' AND NOT relispartition`);

describe('samples', () => {
  test('are dropped by the day once all of a day is too old, and its outbox numbers are noted', async () => {
    await addSamples(40, 33, 29, 0);
    expect(await cleanUp('system_metrics', { dryRun: true })).toMatchObject({ deleted: 2, batches: 0 });
    const recorded: number[] = [];
    const report = await cleanUp('system_metrics', { record: async (rows) => void recorded.push(rows) });
    expect(report).toMatchObject({ deleted: 2, stopped: 'done' });
    expect(recorded.reduce((sum, rows) => sum + rows, 0)).toBe(2);
    expect(await sql('SELECT count(*)::int AS n FROM system_metrics')).toEqual([{ n: 2 }]);
    expect(await sql('SELECT shard, through_seq FROM spillway.audit_watermarks')).toEqual([
      { shard: 3, through_seq: '67' },
    ]);
    expect(await days()).toEqual([]);
    expect(await cleanUp('system_metrics')).toMatchObject({ deleted: 0, batches: 0 });
  });

  test('a day that a dead process detached and did not drop is dropped by the next run', async () => {
    await addSamples(40);
    const [day] = await sql(`SELECT tableoid::regclass::text AS name FROM system_metrics`);
    const { name } = day as { name: string };
    await sql(`COMMENT ON TABLE ${name} IS 'spillway: rows are too old, to be dropped'`);
    await sql(`ALTER TABLE system_metrics DETACH PARTITION ${name}`);
    expect((await days()).length).toBe(1);
    await cleanUp('system_metrics');
    expect(await days()).toEqual([]);
  });

  test('go while others insert and read, none of whom waits for a lock', async () => {
    await addSamples(40, 39, 38);
    await withConnection(database.pool, async (reader) => {
      await reader.query(`BEGIN; SET LOCAL lock_timeout = '5s'`);
      await reader.query(`SELECT count(*) FROM system_metrics WHERE recorded_at > now() - interval '1 hour'`);
      // DETACH CONCURRENTLY waits for this transaction, and nobody waits for it.
      const cleaning = cleanUp('system_metrics');
      await withConnection(database.pool, async (writer) => {
        await writer.query(`SET lock_timeout = '2s'`);
        for (let insert = 0; insert < 20; insert += 1) await writer.query(`SELECT record_metric('m', 1)`);
      });
      await reader.query('COMMIT');
      expect((await cleaning).deleted).toBe(3);
    });
  });

  test('a partitioned table that is not by the column of the rule is refused, and keeps its rows', async () => {
    await sql(`CREATE TABLE logs (at timestamptz, seen timestamptz) PARTITION BY RANGE (at)`);
    const rule = { table: { schema: 'public', name: 'logs' }, timestampColumn: 'seen', retentionDays: 1 };
    await expect(
      withConnection(database.pool, async (connection) => cleanUpRows(connection, rule)),
    ).rejects.toMatchObject({ reason: 'unsupported_key', table: 'public.logs' });
  });
});

describe('what is over', () => {
  test('alerts and replayed letters go by age; what is open or waits stays', async () => {
    await sql(`INSERT INTO spillway.alerts (rule, value, threshold, opened_at, resolved_at) VALUES
      ('old', 1, 0, now() - interval '300 days', now() - interval '181 days'),
      ('recent', 1, 0, now() - interval '300 days', now() - interval '179 days'),
      ('open', 1, 0, now() - interval '900 days', NULL)`);
    await sql(`INSERT INTO spillway.audit_dead_letters (id, source_job, reason, payload, created_at, replayed_at) VALUES
      (gen_random_uuid(), 'replayed', 'r', '{}', now() - interval '200 days', now() - interval '91 days'),
      (gen_random_uuid(), 'waiting', 'r', '{}', now() - interval '900 days', NULL)`);
    for (const name of ['alerts', 'audit_dead_letters']) {
      expect(await cleanUp(name)).toMatchObject({ deleted: 1 });
    }
    expect(await sql('SELECT rule FROM spillway.alerts ORDER BY rule')).toEqual([{ rule: 'open' }, { rule: 'recent' }]);
    expect(await sql('SELECT source_job FROM spillway.audit_dead_letters')).toEqual([{ source_job: 'waiting' }]);
  });

  test("a job's runs go with their tables by age, but its last success stays: how late it is goes by it", async () => {
    await sql(`INSERT INTO spillway.job_runs (job, due_at, trigger, status, started_at, finished_at)
      SELECT 'cron-archive-data', at, 'schedule', s, at, at
      FROM (VALUES (600, 'completed'), (500, 'completed'), (450, 'failed'), (10, 'failed')) AS run (d, s)
      CROSS JOIN LATERAL (SELECT now() - d * interval '1 day') AS t (at)`);
    await sql(`INSERT INTO archive.archival_runs (run_id, table_name) SELECT id, status FROM spillway.job_runs`);
    await sql(`INSERT INTO spillway.job_runs (job, trigger, status, started_at)
      VALUES ('cron-archive-data', 'schedule', 'running', now() - interval '700 days')`);
    expect(await cleanUp('job_runs')).toMatchObject({ deleted: 1 });
    expect(await sql('SELECT status FROM spillway.job_runs ORDER BY started_at')).toEqual([
      { status: 'running' },
      { status: 'completed' },
      { status: 'failed' },
      { status: 'failed' },
    ]);
    expect(await sql('SELECT count(*)::int AS n FROM archive.archival_runs')).toEqual([{ n: 3 }]);
  });

  test('a resolved gap is forgotten only where the reconcile would not find it again', async () => {
    await sql(`INSERT INTO spillway.audit_gaps (id, kind, shard, epoch, from_seq, to_seq, resolved_at)
      SELECT gen_random_uuid(), kind, 1, 7, seq, seq, now() - interval '401 days'
      FROM (VALUES ('missing', 5), ('missing', 50), ('limiter_outage', NULL), ('epoch_ended', NULL)) AS gap (kind, seq)`);
    await sql('INSERT INTO spillway.audit_watermarks (shard, epoch, through_seq) VALUES (1, 7, 10)');
    await cleanUp('audit_gaps');
    expect(await sql('SELECT kind, to_seq FROM spillway.audit_gaps ORDER BY kind')).toEqual([
      { kind: 'epoch_ended', to_seq: null },
      { kind: 'missing', to_seq: '50' },
    ]);
  });

  test('reports of decisions go after a week, their counts after a month and their hours after a year', async () => {
    await sql(
      `INSERT INTO spillway.decision_reports VALUES (gen_random_uuid(), 'a', 'allowed', 1, 1, ${age(8)}, 1, 2, 30)`,
    );
    await sql(
      `INSERT INTO spillway.decision_counts VALUES ('a', 'allowed', ${age(33)}, 1), ('a', 'allowed', ${age(8)}, 1)`,
    );
    await sql(
      `INSERT INTO spillway.decision_counts_hourly VALUES ('a', 'allowed', ${age(401)}, 1), ('a', 'allowed', ${age(33)}, 1)`,
    );
    const deleted = [];
    for (const name of ['decision_reports', 'decision_counts', 'decision_counts_hourly']) {
      deleted.push((await cleanUp(name)).deleted);
    }
    expect(deleted).toEqual([1, 1, 1]);
    expect(await sql('SELECT through_seq FROM spillway.audit_watermarks')).toEqual([{ through_seq: '30' }]);
  });
});
