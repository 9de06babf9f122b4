import { insertBreakerEvents, migrate, upsertBlocks } from '@spillway/db';
import { useLogins, usePostgres } from '@spillway/local-servers/testing';
import { Client } from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { deployYaml, type Panel, readDashboards, withoutMacros } from '../test/deploy-files.ts';

const postgres = usePostgres({
  migrate: async (url) => {
    await migrate({ connectionString: url });
  },
  template: 'deploy',
});
const logins = useLogins();
let reader: Client;
beforeEach(async () => {
  reader = new Client({ connectionString: await logins.create(postgres.url, 'spillway_reader') });
  await reader.connect();
});
afterEach(async () => {
  await reader.end();
});

/** One row in each table that a panel reads. */
async function fill(): Promise<void> {
  const now = Date.now();
  const identity = { outboxShard: 0, outboxEpoch: 1, outboxSeq: 1, createdAtMs: now };
  await upsertBlocks(postgres.pool, [
    {
      ...identity,
      id: '00000000-0000-8000-8000-000000000001',
      key: 'k',
      tier: 'auth',
      action: 'login',
      identifier: 'ada',
      limitCount: 5,
      windowMs: 60_000,
      requestCount: 5,
      deniedCount: 3,
      windowStartMs: now,
      lastRequestAtMs: now,
      blockedUntilMs: now + 900_000,
      mode: 'enforce',
      updatedAtMs: now,
    },
  ]);
  await insertBreakerEvents(postgres.pool, [
    {
      ...identity,
      id: '00000000-0000-8000-8000-000000000002',
      breakerName: 'runware',
      preset: 'ai_provider',
      eventType: 'opened',
      failureCount: 5,
      errorMessage: null,
      metadata: {},
      breakerEpoch: 1,
    },
  ]);
  await postgres.pool.query(`
    INSERT INTO spillway.audit_gaps (id, kind) VALUES (gen_random_uuid(), 'limiter_outage');
    INSERT INTO spillway.audit_dead_letters (id, source_job, reason, payload) VALUES (gen_random_uuid(), 'j', 'r', '{}');
    INSERT INTO spillway.alerts (rule, value, threshold) VALUES ('audit_lag', 2, 1);
    INSERT INTO archive.archival_runs (table_name, archived_count) VALUES ('audit_logs', 7);
    INSERT INTO spillway.job_runs (job, due_at, trigger, status) VALUES ('cron-archive-data', now(), 'schedule', 'completed');
    SELECT record_metric('spillway_active_users', 3), record_metric('spillway_generations_per_hour', 7);
    SELECT record_metric('audit_event_lag_p99_ms', 1500);`);
}

it('every SQL panel runs as the reader and shows the rows that there are', async () => {
  await fill();
  const panels = (await readDashboards()).flatMap((dashboard) => dashboard.panels);
  const queries = panels.flatMap((panel) =>
    panel.targets.flatMap(({ rawSql }) => (rawSql === undefined ? [] : [{ panel, rawSql }])),
  );
  expect(queries.length).toBeGreaterThan(10);
  for (const { panel, rawSql } of queries) {
    const { rows, fields } = await reader.query<Record<string, unknown>>(withoutMacros(rawSql));
    expect(rows.length, panel.title).toBeGreaterThan(0);
    // Grafana draws a series of a column named so, by its time.
    if (panel.type === 'timeseries') expect(fields[0]?.name, panel.title).toBe('time');
    expect(rawSql, panel.title).not.toMatch(/\$(?!__timeFilter)/u);
  }
});

it('every panel asks a data source that is provisioned, of the type that it needs', async () => {
  const [provisioned] = await deployYaml<{ datasources: { uid: string; type: string }[] }>(
    'grafana/provisioning/datasources/spillway.yml',
  );
  const typeOf = new Map(provisioned?.datasources.map(({ uid, type }) => [uid, type]));
  for (const { panels } of await readDashboards()) {
    for (const { title, datasource, targets } of panels) {
      expect(typeOf.get(datasource.uid), title).toBe(datasource.type);
      for (const target of targets) {
        expect(target.datasource.uid, title).toBe(datasource.uid);
        const isSql = target.rawSql !== undefined;
        expect(datasource.uid, title).toBe(isSql ? 'spillway-postgres' : 'spillway-prometheus');
      }
    }
  }
});

it('panels lie beside each other, and dashboards and panels are told apart', async () => {
  const dashboards = await readDashboards();
  expect(new Set(dashboards.map(({ uid }) => uid)).size).toBe(3);
  for (const { title, panels } of dashboards) {
    expect(new Set(panels.map(({ id }) => id)).size, title).toBe(panels.length);
    const overlapping = panels.filter((one) => panels.some((other) => one.id < other.id && overlap(one, other)));
    expect(overlapping, title).toEqual([]);
    expect(
      panels.every(({ gridPos: { x, w } }) => x + w <= 24),
      title,
    ).toBe(true);
  }
});

function overlap({ gridPos: a }: Panel, { gridPos: b }: Panel): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}
