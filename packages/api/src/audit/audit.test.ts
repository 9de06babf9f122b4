import { randomUUID } from 'node:crypto';
import {
  type BreakerEventRow,
  insertBreakerEvents,
  insertDeadLetters,
  readTrailHealth,
  upsertBlocks,
} from '@spillway/db';
import { describe, expect, it } from 'vitest';
import { useApi } from '../../test/use-api.ts';

const api = useApi();

const nowMs = Date.now();

async function block(over: { tier?: string; identifier?: string; blockedUntilMs?: number; createdAtMs?: number }) {
  const { createdAtMs = nowMs } = over;
  const row = {
    id: randomUUID(),
    key: 'k',
    tier: 'auth',
    action: 'default',
    identifier: 'user-1',
    limitCount: 5,
    windowMs: 60_000,
    requestCount: 5,
    deniedCount: 1,
    windowStartMs: createdAtMs,
    lastRequestAtMs: createdAtMs,
    blockedUntilMs: nowMs + 60_000,
    mode: 'enforce' as const,
    updatedAtMs: createdAtMs,
    outboxShard: 0,
    outboxEpoch: 1,
    outboxSeq: 1,
    ...over,
    createdAtMs,
  };
  await upsertBlocks(api.pool, [row]);
}

interface Page {
  readonly rows: Record<string, unknown>[];
  readonly next: string | null;
}

async function page(path: string): Promise<Page> {
  const response = await api.ask('GET', path, { as: 'read' });
  expect(response.status).toBe(200);
  return (await response.json()) as Page;
}

it('blocks come page by page, newest first, filtered; null says that a block has no end', async () => {
  for (const age of [3, 2, 1]) await block({ createdAtMs: nowMs - age, identifier: `user-${age}` });
  await block({ tier: 'strict', blockedUntilMs: Number.POSITIVE_INFINITY, createdAtMs: nowMs - 4 });
  const first = await page('/v1/audit/blocks?tier=auth&limit=2');
  const second = await page(`/v1/audit/blocks?tier=auth&limit=2&after=${first.next}`);
  expect([...first.rows, ...second.rows].map(({ identifier }) => identifier)).toEqual(['user-1', 'user-2', 'user-3']);
  expect(second.next).toBeNull();
  expect((await page('/v1/audit/blocks?tier=strict&active=true&mode=enforce')).rows).toMatchObject([
    { blockedUntilMs: null, deniedCount: 1 },
  ]);
  const stretch = `sinceMs=${nowMs - 2}&untilMs=${nowMs - 1}`;
  expect((await page(`/v1/audit/blocks?${stretch}`)).rows).toMatchObject([{ identifier: 'user-2' }]);
  // What ties a row to the outbox is nobody's business.
  expect(Object.keys(first.rows[0] ?? {})).not.toEqual(expect.arrayContaining(['outboxSeq']));
});

async function typesOf(query: string): Promise<unknown[]> {
  return (await page(`/v1/audit/breaker-events?${query}`)).rows.map(({ eventType }) => eventType);
}

it('breaker events can be filtered by breaker, preset and type', async () => {
  const event = (over: Partial<BreakerEventRow>): BreakerEventRow => ({
    id: randomUUID(),
    breakerName: 'runware',
    preset: 'ai_provider',
    eventType: 'failure',
    failureCount: 1,
    errorMessage: 'timeout',
    metadata: {},
    breakerEpoch: null,
    outboxShard: 0,
    outboxEpoch: 1,
    outboxSeq: 1,
    createdAtMs: nowMs,
    ...over,
  });
  await insertBreakerEvents(api.pool, [
    event({}),
    event({ eventType: 'opened', breakerEpoch: 1, createdAtMs: nowMs + 1 }),
    event({ breakerName: 's3', preset: 'storage' }),
  ]);
  expect(await typesOf('breakerName=runware&preset=ai_provider')).toEqual(['opened', 'failure']);
  expect(await typesOf('eventType=opened')).toEqual(['opened']);
});

it('archival runs can be filtered by job, table, status and run', async () => {
  const runId = randomUUID();
  await api.pool.query(`INSERT INTO spillway.job_runs (id, job, trigger) VALUES ($1, 'cron-archive-data', 'cli')`, [
    runId,
  ]);
  await api.pool.query(
    `INSERT INTO archive.archival_runs (run_id, job_name, table_name, status, details)
     VALUES ($1, 'cron-archive-data', 'audit_logs', 'completed', '{"batches": 3}'), (NULL, 'other', NULL, 'running', '{}')`,
    [runId],
  );
  const query = `runId=${runId}&jobName=cron-archive-data&tableName=audit_logs&status=completed`;
  expect(await page(`/v1/audit/archival-runs?${query}`)).toMatchObject({
    rows: [{ runId, tableName: 'audit_logs', details: { batches: 3 } }],
    next: null,
  });
  expect((await page('/v1/audit/archival-runs')).rows).toHaveLength(2);
});

it('dead letters and gaps can be filtered by what is done about them', async () => {
  await insertDeadLetters(api.pool, [{ id: randomUUID(), sourceJob: 'audit', reason: 'bad', payload: { a: 1 } }]);
  expect((await page('/v1/audit/dead-letters?waiting=true')).rows).toMatchObject([{ payload: { a: 1 } }]);
  expect((await page('/v1/audit/dead-letters?waiting=false')).rows).toEqual([]);
  await api.pool.query(`INSERT INTO spillway.audit_gaps (id, kind) VALUES (gen_random_uuid(), 'missing')`);
  expect((await page('/v1/audit/gaps?kind=missing&resolved=false')).rows).toMatchObject([{ resolvedAtMs: null }]);
});

it('a metric is recorded by record_metric() and comes back as a sample and as statistics', async () => {
  const body = { name: 'lag', value: 1.5, unit: 'ms', tags: { shard: 1 } };
  const response = await api.ask('POST', '/v1/metrics', { body, as: 'metrics' });
  expect(response.status).toBe(201);
  const { id } = (await response.json()) as { id: string };
  expect((await page('/v1/metrics?metricName=lag')).rows).toMatchObject([
    { id, metricValue: 1.5, metricUnit: 'ms', tags: { shard: 1 } },
  ]);
  expect(await (await api.ask('GET', '/v1/metrics/lag/stats?hours=1')).json()).toMatchObject({ count: 1, p99: 1.5 });
  expect(await (await api.ask('GET', '/v1/metrics/none/stats')).json()).toMatchObject({ count: 0, minValue: null });
});

it.each([
  'limit=0',
  'limit=x',
  'sinceMs=-1',
  'after=x',
  'tier=',
  'tier=%00',
  'active=yes',
  'order=asc',
  'limit=1&limit=2',
])('a list refuses %s', async (query) => {
  const response = await api.ask('GET', `/v1/audit/blocks?${query}`);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ errors: [{ field: query.split('=')[0] }] });
});

describe('POST /v1/audit/gaps/{id}/resolve', () => {
  const id = '6f1b0a52-7c0e-4f3a-9d2b-0123456789ab';
  const resolve = async (body: unknown, as: 'operate' | 'maintain' | 'read' = 'operate', gap = id): Promise<Response> =>
    api.ask('POST', `/v1/audit/gaps/${gap}/resolve`, { body, as });

  it.each(['operate', 'maintain'] as const)('with the scope %s closes it, and keeps who and why', async (as) => {
    await api.pool.query(
      `INSERT INTO spillway.audit_gaps (id, kind, shard, epoch, from_seq, to_seq) VALUES ($1, 'missing', 3, 7, 5, 9)`,
      [id],
    );
    const answer = await resolve({ note: 'deleted by hand, ticket 12' }, as);
    expect([answer.status, await answer.json()]).toMatchObject([
      200,
      { id, resolvedAtMs: expect.any(Number) as number },
    ]);
    expect((await page('/v1/audit/gaps?resolved=false')).rows).toEqual([]);
    expect((await readTrailHealth(api.pool)).missing).toBe(0);
    expect((await page(`/v1/audit/changes?object=${id}`)).rows).toMatchObject([
      {
        actor: `api-key:${as}`,
        action: 'resolve_gap',
        objectKind: 'gap',
        note: 'deleted by hand, ticket 12',
        before: { kind: 'missing', shard: 3, epoch: 7, fromSeq: 5, toSeq: 9, resolvedAtMs: null },
        after: { resolvedAtMs: expect.any(Number) as number },
      },
    ]);
    // The second one is told, and changes neither the time nor the reason.
    expect((await resolve({ note: 'again' }, as)).status).toBe(409);
    expect((await page('/v1/audit/changes?objectKind=gap')).rows).toHaveLength(1);
  });

  it('refuses no reason, a gap that there is not and other scopes, and changes nothing', async () => {
    await api.pool.query(`INSERT INTO spillway.audit_gaps (id, kind) VALUES ($1, 'epoch_ended')`, [id]);
    expect(await (await resolve({})).json()).toMatchObject({ status: 400, errors: [{ field: 'note' }] });
    expect((await resolve({ note: '' })).status).toBe(400);
    expect((await resolve({ note: 'x' }, 'read')).status).toBe(403);
    expect((await resolve({ note: 'x' }, 'operate', '00000000-0000-4000-8000-000000000000')).status).toBe(404);
    expect((await resolve({ note: 'x' }, 'operate', 'nothing')).status).toBe(400);
    expect((await page('/v1/audit/gaps?resolved=false')).rows).toHaveLength(1);
    expect((await page('/v1/audit/changes')).rows).toEqual([]);
  });
});

it('/v1/audit/alerts lists alerts, the last opened first: open ones, resolved ones, and those of a rule', async () => {
  await api.pool.query(`
    INSERT INTO spillway.alerts (rule, value, threshold, opened_at, resolved_at) VALUES
      ('audit_oldest_event', 90, 60, now(), NULL),
      ('job_late/cron-archive-data', 9, 8, now() - interval '1 hour', now())`);
  const rulesOf = async (query: string): Promise<readonly unknown[]> => {
    const response = await api.ask('GET', `/v1/audit/alerts${query}`, { as: 'read' });
    const { rows } = (await response.json()) as { rows: { rule: string; openedAtMs: number }[] };
    for (const row of rows) expect(row).not.toHaveProperty('notifiedOpenedAtMs');
    return rows.map(({ rule }) => rule);
  };
  expect(await rulesOf('')).toEqual(['audit_oldest_event', 'job_late/cron-archive-data']);
  expect(await rulesOf('?open=true')).toEqual(['audit_oldest_event']);
  expect(await rulesOf('?open=false')).toEqual(['job_late/cron-archive-data']);
  expect(await rulesOf('?rule=job_late/cron-archive-data')).toEqual(['job_late/cron-archive-data']);
  expect((await api.ask('GET', '/v1/audit/alerts', { as: 'decide' })).status).toBe(403);
});
