import { randomUUID } from 'node:crypto';
import { insertDeadLetters, withJobLock } from '@spillway/db';
import { useRedis } from '@spillway/local-servers/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { queuesOf, useApi, workersOf } from '../test/use-api.ts';

const redis = useRedis();
const PATH = '/v1/audit/dead-letters/replay';
const soon = { timeout: 20_000 };

/** An event of the outbox, as the sink keeps it when Postgres refuses its row. */
function payload(seq: number): object {
  const fields = {
    type: 'block',
    epoch: 1_767_000_000_000,
    seq,
    at: 1_767_000_001_000,
    key: `{sw:00}:w:ten:7:default:user-${seq}`,
    limit: 10,
    window: 60_000,
    count: 10,
    denied: 1,
    start: 1_767_000_000_500,
    last: 1_767_000_001_000,
    until: 1_767_000_061_000,
    mode: 0,
    id_epoch: 0,
    id_seq: 0,
    id_at: 0,
  };
  const flat = Object.entries(fields).flatMap(([name, value]) => [name, String(value)]);
  return { shard: 0, entryId: `1767000001000-${seq}`, fields: flat };
}

interface Run {
  readonly id: string;
  readonly status: string;
  readonly details: Record<string, unknown>;
}

function letters(api: ReturnType<typeof useApi>) {
  const ids: string[] = [];
  return {
    ids,
    async add(count: number, sourceJob = 'audit/1', more?: object): Promise<void> {
      ids.splice(0);
      for (let seq = 1; seq <= count; seq += 1) {
        const id = randomUUID();
        ids.push(id);
        await insertDeadLetters(api.pool, [{ id, sourceJob, reason: 'was refused', payload: more ?? payload(seq) }]);
      }
    },
    stored: async (): Promise<number> => (await api.pool.query('SELECT FROM rate_limits_v2')).rowCount ?? 0,
    runs: async (): Promise<unknown[]> =>
      (await api.pool.query('SELECT id, status FROM spillway.job_runs WHERE job = $1', ['replay-dead-letters'])).rows,
  };
}

describe('with a worker', () => {
  const api = useApi((_, tools) => workersOf({ ...tools, redisUrl: redis.url }));
  const { ids, add, stored, runs } = letters(api);
  const replay = async (body: unknown): Promise<Run> => {
    const response = await api.ask('POST', PATH, { body, as: 'operate' });
    expect(response.status).toBe(200);
    return (await response.json()) as Run;
  };
  const get = async (path: string, as: 'admin' | 'maintain' = 'admin'): Promise<{ rows: Run[]; next: string | null }> =>
    JSON.parse(await (await api.ask('GET', path, { as })).text());
  const waiting = async (): Promise<number> => (await get('/v1/audit/dead-letters?waiting=true')).rows.length;
  const list = async (query: string) => get(`/v1/maintenance/runs?${query}`, 'maintain');
  beforeEach(async () => add(3));

  it('dead letters can be listed and looked at one by one', async () => {
    const [id = ''] = ids;
    const one = await api.ask('GET', `/v1/audit/dead-letters/${id}`, { as: 'read' });
    expect([one.status, await one.json()]).toEqual([
      200,
      {
        id,
        sourceJob: 'audit/1',
        reason: 'was refused',
        payload: payload(1),
        createdAtMs: expect.any(Number),
        replayedAtMs: null,
      },
    ]);
    const none = await api.ask('GET', `/v1/audit/dead-letters/${randomUUID()}`);
    expect([none.status, await none.json()]).toMatchObject([404, { type: 'urn:spillway:problem:unknown-dead-letter' }]);
    expect((await api.ask('GET', '/v1/audit/dead-letters/1')).status).toBe(400);
    expect(await waiting()).toBe(3);
  });

  it('a replay answers with what was stored, refused and skipped, and keeps who asked and why', async () => {
    await api.pool.query("ALTER TABLE rate_limits_v2 ADD CONSTRAINT no_two CHECK (identifier <> 'user-2')");
    const nobody = randomUUID();
    const [one, two, three] = ids;
    const run = await replay({ ids: [one, two, three, nobody], why: 'the column is back' });
    expect(run).toMatchObject({
      job: 'replay-dead-letters',
      trigger: 'http',
      status: 'partial',
      errorMessage: 'dead letters that still wait: 1 refused again',
      tables: [],
      details: {
        selection: { ids: [one, two, three, nobody] },
        selected: 3,
        replayed: 2,
        replayedIds: [one, three],
        refused: 1,
        refusals: [{ id: two, reason: expect.stringContaining('no_two') }],
        skipped: [{ id: nobody, reason: expect.stringContaining('does not exist') }],
        left: 0,
      },
    });
    expect([await stored(), await waiting()]).toEqual([2, 1]);
    for (const as of ['read', 'maintain', 'operate'] as const) {
      expect(await (await api.ask('GET', `/v1/maintenance/runs/${run.id}`, { as })).json()).toEqual(run);
    }
    expect((await get('/v1/audit/changes')).rows).toMatchObject([
      {
        actor: 'api-key:operate',
        action: 'run_job',
        object: 'replay-dead-letters',
        after: { dryRun: false, selection: { ids: [one, two, three, nobody] } },
        note: 'the column is back',
      },
    ]);
  });

  it('a replay by filter takes no more than the limit, and a dry run stores nothing', async () => {
    expect(await replay({ sinceMs: 0, dryRun: true })).toMatchObject({ dryRun: true, details: { replayed: 3 } });
    expect([await stored(), await waiting()]).toEqual([0, 3]);
    expect(await replay({ sourceJob: 'audit/2' })).toMatchObject({ status: 'completed', details: { selected: 0 } });
    expect(await replay({ untilMs: Date.now() + 3_600_000, limit: 2 })).toMatchObject({
      status: 'partial',
      details: { selected: 3, replayed: 2, left: 1 },
    });
    expect(await replay({ sinceMs: 0 })).toMatchObject({ status: 'completed', details: { replayed: 1 } });
    expect([await stored(), await waiting()]).toEqual([3, 0]);
  });

  it('a replay that is asked for many times at once stores each letter once, whatever each asks for', async () => {
    const bodies = [...Array.from({ length: 5 }, () => ({ sinceMs: 0 })), { ids: [...ids] }, { sourceJob: 'audit/1' }];
    const answers = await Promise.all(bodies.map(async (body) => api.ask('POST', PATH, { body })));
    const statuses = answers.map(({ status }) => status);
    expect(statuses).toContain(200);
    expect(statuses.filter((status) => status !== 200 && status !== 409)).toEqual([]);
    await expect.poll(waiting, soon).toBe(0);
    const { rows } = await api.pool.query<{ n: number }>(
      "SELECT sum((details ->> 'replayed')::int)::int AS n FROM spillway.job_runs WHERE job = 'replay-dead-letters'",
    );
    expect([await stored(), rows[0]?.n]).toEqual([3, 3]);
  });

  it('runs are listed with those of the other jobs, filtered and page by page', async () => {
    await replay({ ids: [ids[0]] });
    await replay({ ids: [ids[1]] });
    await api.ask('POST', '/v1/maintenance/cron-reconcile-audit');
    const all = (await list('trigger=http')).rows;
    expect(all).toMatchObject([
      { job: 'cron-reconcile-audit', details: { missingEvents: 0 } },
      { job: 'replay-dead-letters', status: 'completed', details: { replayedIds: [ids[1]] } },
      { job: 'replay-dead-letters', status: 'completed', details: { replayedIds: [ids[0]] } },
    ]);
    const first = await list('job=replay-dead-letters&limit=1');
    const second = await list(`job=replay-dead-letters&limit=1&after=${first.next ?? ''}`);
    expect([...first.rows, ...second.rows]).toEqual(all.slice(1));
    expect(second.next).toBeNull();
    expect((await list('status=failed')).rows).toEqual([]);
    expect(await runs()).toHaveLength(2);
  });

  it('a payload that nothing can store is refused with the reason, as often as it is asked for', async () => {
    await api.pool.query('TRUNCATE spillway.audit_dead_letters');
    await add(1, 'audit/1', { what: 'is this' });
    for (let time = 0; time < 2; time += 1) {
      expect(await replay({ sinceMs: 0 })).toMatchObject({ status: 'partial', details: { refused: 1 } });
    }
    expect(await waiting()).toBe(1);
  });

  it('a replay waits for one that the command line runs, and takes its own letters then', async () => {
    const answer = await withJobLock(api.pool, 'replay-dead-letters', async () => {
      await api.pool.query(`INSERT INTO spillway.job_runs (job, trigger) VALUES ('replay-dead-letters', 'cli')`);
      const asked = api.ask('POST', PATH, { body: { ids: [ids[0]] } });
      await expect.poll(async () => redis.client.keys('*spillway-maintenance:*:lock'), soon).not.toEqual([]);
      return { asked };
    });
    const response = answer.acquired ? await answer.result.asked : undefined;
    expect([response?.status, await response?.json()]).toMatchObject([200, { details: { replayedIds: [ids[0]] } }]);
  });
});

describe('without a worker', () => {
  const api = useApi((_, tools) => queuesOf({ ...tools, redisUrl: redis.url }));

  it('a replay waits in the queue: the same is asked for once, and one of other letters is refused meanwhile', async () => {
    const body = { sinceMs: 0, sourceJob: 'audit/1' };
    const one = await api.ask('POST', PATH, { body });
    const run = (await one.json()) as Run;
    const place = `/v1/maintenance/runs/${run.id}`;
    expect([one.status, one.headers.get('Location'), run]).toMatchObject([
      202,
      place,
      { status: 'queued', details: {} },
    ]);
    const same = await api.ask('POST', PATH, { body: { sourceJob: 'audit/1', sinceMs: 0 } });
    expect([same.status, await same.json()]).toEqual([202, run]);
    const other = await api.ask('POST', PATH, { body: { ids: [randomUUID()] } });
    expect([other.status, other.headers.get('Retry-After')]).toEqual([409, '1']);
    expect(await other.json()).toMatchObject({ type: 'urn:spillway:problem:replay-in-progress', runId: run.id });
    expect((await api.ask('POST', PATH, { body: { ...body, dryRun: true } })).status).toBe(202);
    // What was refused is no change.
    expect((await api.pool.query('SELECT FROM spillway.changes')).rowCount).toBe(3);
  });

  it.each([
    [{}, 'body'],
    [{ limit: 5 }, 'body'],
    [{ dryRun: true, why: 'x' }, 'body'],
    [[], 'body'],
    [{ ids: [] }, 'ids'],
    [{ ids: 'x' }, 'ids'],
    [{ ids: ['x'] }, 'ids.0'],
    [{ ids: Array.from({ length: 1_001 }, () => randomUUID()) }, 'ids'],
    [{ sinceMs: -1 }, 'sinceMs'],
    [{ sinceMs: 1e300 }, 'sinceMs'],
    [{ sinceMs: '0' }, 'sinceMs'],
    [{ sinceMs: 5, untilMs: 5 }, 'untilMs'],
    [{ sinceMs: 0, limit: 0 }, 'limit'],
    [{ sinceMs: 0, limit: 100_001 }, 'limit'],
    [{ sinceMs: 0, dryRun: 'yes' }, 'dryRun'],
    [{ sourceJob: '' }, 'sourceJob'],
    [{ sourceJob: 'a\0b' }, 'sourceJob'],
    [{ sinceMs: 0, all: true }, 'all'],
  ])('refuses %j by the name of what is wrong, and asks for nothing', async (body, field) => {
    const response = await api.ask('POST', PATH, { body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ field }] });
    expect((await api.pool.query('SELECT FROM spillway.changes')).rowCount).toBe(0);
  });

  it('needs the scope operate or maintain', async () => {
    for (const as of ['decide', 'read', 'metrics', 'report'] as const) {
      expect((await api.ask('POST', PATH, { body: { sinceMs: 0 }, as })).status).toBe(403);
    }
    for (const as of ['operate', 'maintain'] as const) {
      expect((await api.ask('POST', PATH, { body: { sinceMs: 0 }, as })).status).toBe(202);
    }
  });
});

describe('without Redis', () => {
  const api = useApi((_, tools) => queuesOf({ ...tools, redisUrl: 'redis://127.0.0.1:1' }));

  it('a replay is 503, and leaves no change that was not made', async () => {
    expect((await api.ask('POST', PATH, { body: { sinceMs: 0 } })).status).toBe(503);
    expect((await api.pool.query('SELECT FROM spillway.changes')).rowCount).toBe(0);
  });
});
