import { beforeEach, describe, expect, it } from 'vitest';
import { beginRun, createPool, readRun, setRunDetails } from '@spillway/db';
import { useLogins } from '@spillway/local-servers/testing';
import { randomUUID } from 'node:crypto';
import type { JobReport } from '../maintenance/job.ts';
import { replayJob } from '../maintenance/maintenance-jobs.ts';
import { runJob, type RunRequest } from '../maintenance/run-job.ts';
import { keepDeadLetters, writeEntries } from '../sink/write-entries.ts';
import { blockEntry } from '../../test/entries.ts';
import { recordingLogger, useMigratedPostgres } from '../../test/helpers.ts';

const postgres = useMigratedPostgres();
const logins = useLogins();
const ALL = { sinceMs: 0 };

async function replay(request: RunRequest = {}, pool = postgres.pool): Promise<JobReport> {
  return runJob({ pool, logger: recordingLogger() }, replayJob({ pool }), { selection: ALL, ...request });
}

/** Stores twenty blocks, and dead letters of as many as `poison` says, which Postgres refuses. */
async function store(poison: number, sourceJob = 'test/1'): Promise<void> {
  const subjects = [
    ...Array.from({ length: 20 }, (_, index) => `ok ${sourceJob} ${index}`),
    ...Array.from({ length: poison }, (_, index) => `poison ${sourceJob} ${index}`),
  ];
  const entries = subjects.map((subject, index) => blockEntry({ seq: index + 1, subject, shard: seed }));
  seed += 1;
  await writeEntries(postgres.pool, sourceJob, entries.slice(0, 20));
  const rejections = entries.slice(20).map((entry) => ({ entry, reason: 'violates check constraint "no_poison"' }));
  await keepDeadLetters(postgres.pool, sourceJob, rejections);
}
let seed = 0;

beforeEach(async () => {
  seed = 0;
  await postgres.pool.query(
    "ALTER TABLE rate_limits_v2 ADD CONSTRAINT no_poison CHECK (identifier NOT LIKE 'poison%')",
  );
});

const fix = () => postgres.pool.query('ALTER TABLE rate_limits_v2 DROP CONSTRAINT no_poison');
const count = async (sql: string): Promise<number> => (await postgres.pool.query(sql)).rowCount ?? 0;
const rows = () => count('SELECT FROM rate_limits_v2');
const waiting = () => count('SELECT FROM spillway.audit_dead_letters WHERE replayed_at IS NULL');
async function letterIds(): Promise<string[]> {
  const { rows: letters } = await postgres.pool.query<{ id: string }>(
    'SELECT id FROM spillway.audit_dead_letters ORDER BY created_at, id',
  );
  return letters.map(({ id }) => id);
}

describe('a replay of dead letters', () => {
  it('leaves letters that are refused again as they were, says why, and is partial', async () => {
    await store(4);
    const { runId, status, details, errorMessage } = await replay();
    expect([status, errorMessage]).toEqual(['partial', 'dead letters that still wait: 4 refused again']);
    expect(details).toMatchObject({ selection: ALL, selected: 4, replayed: 0, replayedIds: [], refused: 4, left: 0 });
    const why: unknown = expect.stringContaining('violates check constraint "no_poison"');
    expect(details?.['refusals']).toEqual((await letterIds()).map((id) => ({ id, reason: why })));
    expect(await readRun(postgres.pool, runId ?? '')).toMatchObject({ job: 'replay-dead-letters', status, details });
    expect([await rows(), await waiting()]).toEqual([20, 4]);
  });

  it('stores what can be stored between letters that are refused again', async () => {
    await store(4);
    await postgres.pool.query(
      "ALTER TABLE rate_limits_v2 DROP CONSTRAINT no_poison, ADD CONSTRAINT no_two CHECK (identifier NOT LIKE 'poison%2')",
    );
    expect(await replay()).toMatchObject({ status: 'partial', details: { replayed: 3, refused: 1 } });
    expect([await rows(), await waiting()]).toEqual([23, 1]);
  });

  it('stores nothing in a dry run, and reports what it would', async () => {
    await store(4);
    await fix();
    const ids = await letterIds();
    expect(await replay({ dryRun: true })).toMatchObject({
      status: 'completed',
      details: { selected: 4, replayed: 4, replayedIds: ids, refused: 0 },
    });
    expect([await rows(), await waiting()]).toEqual([20, 4]);
  });

  it('takes the ids that are named, and says which of them do not wait', async () => {
    await store(4);
    await fix();
    const [first = '', second = ''] = await letterIds();
    const nobody = randomUUID();
    expect(await replay({ selection: { ids: [first, nobody] } })).toMatchObject({
      status: 'completed',
      details: {
        selected: 1,
        replayedIds: [first],
        skipped: [{ id: nobody, reason: expect.stringContaining('does not exist') }],
      },
    });
    expect(await replay({ selection: { ids: [first, second] } })).toMatchObject({
      details: { selected: 1, replayedIds: [second], skipped: [{ id: first, reason: 'was replayed before' }] },
    });
    expect([await rows(), await waiting()]).toEqual([22, 2]);
  });

  it('takes what a job delivered, or what was kept in a stretch of time, and no more than the limit', async () => {
    await store(3, 'test/1');
    await store(2, 'test/2');
    await fix();
    expect(await replay({ selection: { sourceJob: 'test/2' } })).toMatchObject({ details: { replayed: 2 } });
    const future = { sinceMs: Date.now() + 3_600_000 };
    expect(await replay({ selection: future })).toMatchObject({ status: 'completed', details: { selected: 0 } });
    const past = { sinceMs: 0, untilMs: Date.now() + 3_600_000, limit: 2 };
    expect(await replay({ selection: past })).toMatchObject({
      status: 'partial',
      errorMessage: 'dead letters that still wait: 1 not tried',
      details: { selected: 3, replayed: 2, left: 1 },
    });
    expect(await waiting()).toBe(1);
  });

  it('stores each once when several are asked for at once', async () => {
    await store(4);
    await fix();
    const reports = await Promise.all([1, 2, 3, 4].map(async () => replay()));
    const statuses = reports.map(({ status }) => status).toSorted();
    expect(new Set(statuses)).toEqual(new Set(['busy', 'completed'].slice(statuses.includes('busy') ? 0 : 1)));
    expect(reports.reduce((sum, { details }) => sum + Number(details?.['replayed'] ?? 0), 0)).toBe(4);
    expect([await rows(), await waiting()]).toEqual([24, 0]);
  });

  it('goes on where its dead process was, and says what both have stored', async () => {
    await store(4);
    await fix();
    const ids = await letterIds();
    const runId = randomUUID();
    await beginRun(postgres.pool, {
      id: runId,
      job: 'replay-dead-letters',
      trigger: 'http',
      dryRun: false,
      dueAt: null,
    });
    const first = await replay({ selection: { ids: ids.slice(0, 2) } });
    await postgres.pool.query(`UPDATE spillway.job_runs SET status = 'running' WHERE id = $1`, [runId]);
    await setRunDetails(postgres.pool, runId, first.details ?? {});
    const second = await replay({ runId, trigger: 'http', selection: { ids } });
    expect(second).toMatchObject({ status: 'completed', runId });
    expect(second.details).toMatchObject({ selected: 4, replayed: 4, replayedIds: ids, skipped: [] });
  });

  it('ends after the page at hand when its process is told to stop or its time is over, and reports each page', async () => {
    await store(250);
    await fix();
    const stop = new AbortController();
    const progress: unknown[] = [];
    const ended = await replay({
      signal: stop.signal,
      onProgress: (each) => {
        progress.push(each);
        stop.abort();
      },
    });
    expect(progress).toEqual([{ table: 'spillway.audit_dead_letters', done: 100, total: 250 }]);
    expect(ended).toMatchObject({ status: 'partial', details: { selected: 250, replayed: 100, left: 150 } });
    expect(await waiting()).toBe(150);
    expect(await replay({ timeBudgetMs: 0 })).toMatchObject({ status: 'partial', details: { replayed: 0, left: 150 } });
    expect(await replay()).toMatchObject({ status: 'completed', details: { replayed: 150, left: 0 } });
    expect(await rows()).toBe(270);
  });

  it('keeps what is committed when a later page fails for another reason than its rows', async () => {
    await store(150);
    await fix();
    const ids = await letterIds();
    await postgres.pool.query(`
      CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.id = '${ids[120]}' THEN RAISE 'disk' USING ERRCODE = '53100'; END IF; RETURN NEW; END $$;
      CREATE TRIGGER fail BEFORE UPDATE ON spillway.audit_dead_letters FOR EACH ROW EXECUTE FUNCTION fail()`);
    const { runId } = await replay().catch(async () => {
      const { rows: runs } = await postgres.pool.query<{ id: string }>('SELECT id FROM spillway.job_runs');
      return { runId: runs[0]?.id ?? null };
    });
    const run = await readRun(postgres.pool, runId ?? '');
    expect(run?.details).toMatchObject({ replayed: 100, left: 50 });
    expect([await rows(), await waiting()]).toEqual([120, 50]);
  });

  it('fails when nobody says which letters, instead of taking all', async () => {
    await store(1);
    await fix();
    const { selection: _, ...none }: RunRequest = { selection: ALL };
    const report = await runJob(
      { pool: postgres.pool, logger: recordingLogger() },
      replayJob({ pool: postgres.pool }),
      none,
    );
    expect(report).toMatchObject({ status: 'failed', errorMessage: expect.stringContaining('which dead letters') });
    expect(await waiting()).toBe(1);
  });

  it('refuses a payload that is not one of ours, whatever it holds', async () => {
    await store(1);
    await fix();
    await postgres.pool.query('UPDATE spillway.audit_dead_letters SET payload = \'{"what": 1}\'');
    const reason = 'the payload is not an outbox entry';
    expect(await replay()).toMatchObject({ details: { refused: 1, refusals: [{ reason }] } });
  });

  it('needs no more rights than those of maintenance', async () => {
    await store(2);
    await fix();
    const connectionString = await logins.create(postgres.url, 'spillway_maintenance');
    const pool = createPool({ connectionString, onError: () => {}, max: 4 });
    expect(await replay({}, pool)).toMatchObject({ status: 'completed', details: { replayed: 2 } });
    await pool.end();
  });
});
