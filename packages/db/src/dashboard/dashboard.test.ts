import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { blockedActions, blocksOverview } from './blocked-subjects.ts';
import { withConnection } from '../connection.ts';
import { breakerOverview, jobOverview } from './overviews.ts';
import { decisionRates, decisionSeries, latestMetrics, metricSeries } from './series.ts';
import { rollUpMetrics, ensureMetricDays } from '../metrics.ts';
import { addDecisions } from '../trail/event-rows.ts';

const database = useDatabase();
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const sql = async (text: string): Promise<void> => void (await database.pool.query(text));

let seq = 0;

/** Whole minutes ago, as a limiter reports them. */
async function decisions(outcome: string, count: number, agoMs: number, policy = 'standard'): Promise<void> {
  seq += 1;
  const outbox = { outboxShard: 1, outboxEpoch: 1, outboxSeq: seq };
  const recordedAtMs = Math.floor(Date.now() / 60_000) * 60_000 - agoMs;
  await addDecisions(database.pool, [
    { id: randomUUID(), policy, outcome, count, overMs: 10_000, recordedAtMs, ...outbox },
  ]);
}

const block = (
  who: string,
  denied: number,
  made: string,
  until: string,
  tier = 'auth',
  action = 'sign-in',
): Promise<void> =>
  sql(`INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
         window_start, last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq, created_at)
       VALUES (gen_random_uuid(), 'k', '${tier}', '${action}', '${who}', 5, 60000, 5, ${denied}, now(), now(), ${until}, 0, 1, 1, now() - interval '${made}')`);

const event = (
  name: string,
  type: string,
  epoch: number | null,
  metadata: object,
  error: string | null,
): Promise<void> =>
  sql(`INSERT INTO circuit_breaker_events (id, breaker_name, preset, event_type, failure_count, breaker_epoch, metadata,
         error_message, outbox_shard, outbox_epoch, outbox_seq)
       VALUES (gen_random_uuid(), '${name}', 'ai_provider', '${type}', ${type === 'failure' ? 1 : 5}, ${epoch}, '${JSON.stringify(metadata)}',
         ${error === null ? 'null' : `'${error}'`}, 0, 1, 1)`);

const run = (id: number, ago: string, status: string, tables: Record<string, number>): Promise<void> =>
  sql(`INSERT INTO spillway.job_runs (id, job, trigger, status, started_at, finished_at, duration_ms, error_message)
       VALUES ('00000000-0000-4000-8000-00000000000${id}', 'cron-archive-data', 'http', '${status}', now() - interval '${ago}',
         now() - interval '${ago}' + interval '2 seconds', 2000, ${status === 'partial' ? `'no such column'` : 'null'});
       INSERT INTO archive.archival_runs (run_id, table_name, archived_count, deleted_count)
       SELECT '00000000-0000-4000-8000-00000000000${id}', key, value::int, value::int
       FROM jsonb_each_text('${JSON.stringify(tables)}')`);

describe('decisionSeries', () => {
  it('gives decisions a second by tier and step: admitted, refused and those that shadows would have refused', async () => {
    await decisions('allowed', 600, 5 * MINUTE);
    await decisions('allowed', 600, 5 * MINUTE);
    await decisions('limited', 60, 5 * MINUTE);
    await decisions('blocked', 120, 5 * MINUTE);
    await decisions('shadow', 30, 4 * MINUTE, 'trial');
    await decisions('allowed', 1, 3 * HOUR);
    const series = await decisionSeries(database.pool, HOUR, 60_000);
    expect(series.map(({ policy, allowed, blocked, shadow }) => [policy, allowed, blocked, shadow])).toEqual([
      ['standard', 20, 3, 0],
      ['trial', 0, 0, 0.5],
    ]);
    const [one, other] = series;
    expect((other?.atMs ?? 0) - (one?.atMs ?? 0)).toBe(60_000);
  });

  it('reads steps of hours from sums by the hour, with the same result', async () => {
    await decisions('allowed', 7_200, 50 * HOUR);
    await decisions('limited', 3_600, 50 * HOUR);
    await database.pool.query('DELETE FROM spillway.decision_counts');
    const series = await decisionSeries(database.pool, 72 * HOUR, HOUR);
    expect(series.map(({ policy, allowed, blocked }) => [policy, allowed, blocked])).toEqual([['standard', 2, 1]]);
  });

  it('gives the rates of the last minute by the reports in it', async () => {
    await decisions('allowed', 60, 30_000 - (Date.now() % 60_000), 'any');
    await decisions('allowed', 60, 20_000 - (Date.now() % 60_000), 'any');
    await decisions('allowed', 60, 90_000 - (Date.now() % 60_000), 'any');
    expect(await decisionRates(database.pool)).toEqual({ allowed: 2, blocked: 0, shadow: 0 });
  });

  it('refuses a range that no screen could show', async () => {
    await expect(decisionSeries(database.pool, 0, 60_000)).rejects.toMatchObject({ option: 'rangeMs' });
    await expect(decisionSeries(database.pool, HOUR, 10)).rejects.toMatchObject({ option: 'stepMs' });
    await expect(decisionSeries(database.pool, HOUR, 90_000)).rejects.toMatchObject({ option: 'stepMs' });
  });
});

describe('blocksOverview', () => {
  it('adds up the blocks of a subject, and has running ones first and old ones not at all', async () => {
    await block('over', 900, '30 minutes', `now() - interval '20 minutes'`);
    await block('running', 10, '10 minutes', `now() + interval '5 minutes'`);
    await block('running', 5, '40 minutes', `now() - interval '30 minutes'`);
    await block('for-ever', 1, '90 days', `'infinity'`);
    await block('old', 1, '2 hours', `now() - interval '1 hour'`);
    const { blocked: found, refused, newestOnly } = await blocksOverview(database.pool, HOUR, 10);
    expect(
      found.map(({ identifier, blocks, deniedCount, active }) => [identifier, blocks, deniedCount, active]),
    ).toEqual([
      ['running', 2, 15, true],
      ['for-ever', 1, 1, true],
      ['over', 1, 900, false],
    ]);
    expect(found[1]?.blockedUntilMs).toBe(Infinity);
    expect(refused.map(({ identifier, deniedCount }) => [identifier, deniedCount])).toEqual([
      ['over', 900],
      ['running', 15],
      ['for-ever', 1],
    ]);
    expect(newestOnly).toBeNull();
    expect((await blocksOverview(database.pool, HOUR, 1)).blocked).toHaveLength(1);
  });

  it('adds up by subject under all tiers who was refused most, shadows aside', async () => {
    const until = `now() - interval '1 minute'`;
    for (const tier of ['auth', 'strict']) await block('both', 40, '9 minutes', until, tier);
    await block('one', 50, '9 minutes', until);
    await block('shadow', 5_000, '9 minutes', until);
    await sql(`UPDATE rate_limits_v2 SET mode = 'shadow' WHERE identifier = 'shadow'`);
    await block('patient', 0, '9 minutes', until);
    expect((await blocksOverview(database.pool, HOUR, 10)).refused).toEqual([
      { identifier: 'both', blocks: 2, deniedCount: 80, tiers: ['auth', 'strict'] },
      { identifier: 'one', blocks: 1, deniedCount: 50, tiers: ['auth'] },
    ]);
  });

  it('shows of a tier and of an action only theirs, which a flood of another tier does not hide, and says what it looked at', async () => {
    await block('quiet', 3, '10 minutes', `now() - interval '5 minutes'`, 'strict', 'export');
    await sql(`INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
        window_start, last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq)
      SELECT gen_random_uuid(), 'k', 'auth', 'sign-in', 'bot-' || n, 5, 60000, 5, 1, now(), now(), now() + interval '1 minute', 0, 1, n
      FROM generate_series(1, 5000) AS n`);
    const all = await blocksOverview(database.pool, HOUR, 10);
    expect(all.newestOnly).toBe(5_000);
    expect(all.refused.map(({ identifier }) => identifier)).not.toContain('quiet');
    for (const filter of [{ tier: 'strict' }, { action: 'export' }, { tier: 'strict', action: 'export' }]) {
      const { blocked, refused, newestOnly } = await blocksOverview(database.pool, HOUR, 10, filter);
      expect([blocked, refused].map((rows) => rows.map(({ identifier }) => identifier))).toEqual([
        ['quiet'],
        ['quiet'],
      ]);
      expect(newestOnly).toBeNull();
    }
    const none = await blocksOverview(database.pool, HOUR, 10, { tier: 'strict', action: 'sign-in' });
    expect(none).toEqual({ blocked: [], refused: [], newestOnly: null });
    expect(await blockedActions(database.pool, HOUR)).toEqual([{ tier: 'auth', action: 'sign-in' }]);
  });
});

describe('breakerOverview', () => {
  it('tells the last state of each breaker, and its failures in the range', async () => {
    for (let failure = 1; failure <= 5; failure += 1) await event('runware', 'failure', null, {}, `timeout ${failure}`);
    await event('runware', 'opened', 100, { reason: 'failures', openForMs: 60_000 }, 'timeout 5');
    await event('healthy', 'opened', 100, { reason: 'failures' }, null);
    await event('healthy', 'closed', 102, { reason: 'probes_succeeded' }, null);
    await event('healthy', 'half_open', 101, { reason: 'open_time_over' }, null);
    await event('stopped', 'opened', 7, { reason: 'forced', untilMs: 0 }, null);
    const { breakers: found, newestOnly } = await breakerOverview(database.pool, HOUR);
    expect(newestOnly).toBeNull();
    expect(
      found.map(({ breakerName, state, untilMs, failures, openings }) => [
        breakerName,
        state,
        untilMs,
        failures,
        openings,
      ]),
    ).toEqual([
      ['runware', 'open', (found[0]?.sinceMs ?? 0) + 60_000, 5, 1],
      ['stopped', 'forced_open', null, 0, 1],
      ['healthy', 'closed', null, 0, 1],
    ]);
    expect(found[0]).toMatchObject({
      preset: 'ai_provider',
      reason: 'failures',
      lastError: 'timeout 5',
      failuresPerMinute: 5 / 60,
    });
  });
});

describe('metrics', () => {
  it('latestMetrics gives the last sample of each that has one', async () => {
    await sql(`INSERT INTO system_metrics (metric_name, metric_value, metric_unit, recorded_at) VALUES
      ('lag', 5, 'ms', now()), ('lag', 900, 'ms', now() - interval '1 minute'), ('backlog', 3, null, now() - interval '1 day')`);
    const found = await latestMetrics(database.pool, ['lag', 'backlog', 'never']);
    expect(found.map(({ name, value, unit }) => [name, value, unit])).toEqual([
      ['lag', 5, 'ms'],
      ['backlog', 3, null],
    ]);
  });

  it('metricSeries gives the worst of each step', async () => {
    await sql(`INSERT INTO system_metrics (metric_name, metric_value, recorded_at)
      SELECT 'lag', n, date_bin('1 minute', now(), 'epoch') - interval '10 minutes' + n * interval '20 seconds' FROM generate_series(0, 5) AS n`);
    const found = await metricSeries(database.pool, 'lag', HOUR, 60_000);
    expect(found.map(({ max }) => max)).toEqual([2, 5]);
  });

  it('metricSeries reads old samples from their roll-ups alone, and recent ones as they are', async () => {
    await withConnection(database.pool, async (connection) => ensureMetricDays(connection, { daysBehind: 3 }));
    await sql(`INSERT INTO system_metrics (metric_name, metric_value, recorded_at)
      SELECT 'lag', hours, now() - hours * interval '1 hour' FROM unnest(ARRAY[1, 2, 6, 50]) AS hours`);
    const worst = async (): Promise<number[]> =>
      (await metricSeries(database.pool, 'lag', 72 * HOUR, 2 * HOUR)).map(({ max }) => max);
    const recent = await worst();
    expect(Math.max(...recent)).toBe(2);
    await rollUpMetrics(database.pool);
    expect(await worst()).toEqual([50, 6, ...recent]);
  });
});

describe('jobOverview', () => {
  it('gives the last run of each job, scheduled or requested, with the rows of its tables added up', async () => {
    await run(1, '8 days', 'completed', { api_call_logs: 9_999 });
    await run(2, '1 day', 'partial', { api_call_logs: 100, audit_logs: 20 });
    await sql(`INSERT INTO spillway.job_runs (job, due_at, trigger, status) VALUES
      ('cron-archive-data', now(), 'schedule', 'baseline'), ('cron-reconcile-audit', now(), 'schedule', 'running')`);
    const row = { dryRun: false, attempts: 1, startedAtMs: expect.any(Number) as number };
    expect(await jobOverview(database.pool)).toEqual([
      {
        ...row,
        job: 'cron-archive-data',
        trigger: 'http',
        status: 'partial',
        durationMs: 2_000,
        rowsMoved: 120,
        errorMessage: 'no such column',
      },
      {
        ...row,
        job: 'cron-reconcile-audit',
        trigger: 'schedule',
        status: 'running',
        durationMs: null,
        rowsMoved: 0,
        errorMessage: null,
      },
    ]);
  });
});
