import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { useDatabase } from '../test/use-database.ts';
import { withConnection, createPool } from './connection.ts';
import { beginRun, endRun, isDue, type NewRun, readRun, type RunBegin, runningRun, withJobLock } from './job-runs.ts';
import { addToTableRun, closeTableRun, openTableRun } from './table-runs.ts';

const database = useDatabase();
const job = 'cron-archive-data';
/** Locks of jobs in this database: other tests have theirs on the same server. */
const OURS = `locktype = 'advisory' AND classid = 727402
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

describe('withJobLock', () => {
  test('lets one of twenty run, the others not, and afterwards the next', async () => {
    const gate = new AbortController();
    const first = withJobLock(database.pool, job, async () => {
      await once(gate.signal, 'abort');
    });
    const holders = `SELECT FROM pg_locks WHERE ${OURS}`;
    await expect.poll(async () => (await database.pool.query(holders)).rowCount).toBe(1);
    const others = await Promise.all(
      Array.from({ length: 19 }, async () => withJobLock(database.pool, job, async () => 'ran')),
    );
    expect(others).toEqual(Array.from({ length: 19 }, () => ({ acquired: false })));
    expect(await withJobLock(database.pool, 'another', async () => 'ran')).toEqual({ acquired: true, result: 'ran' });
    gate.abort();
    await first;
    expect(await withJobLock(database.pool, job, async () => 'ran')).toEqual({ acquired: true, result: 'ran' });
  });

  test('gives the lock back when the work fails', async () => {
    await expect(
      withJobLock(database.pool, job, async () => {
        throw new Error('broken');
      }),
    ).rejects.toThrow('broken');
    expect(await withJobLock(database.pool, job, async () => 1)).toEqual({ acquired: true, result: 1 });
  });

  test('tells the work when its connection is lost', async () => {
    const running = withJobLock(database.pool, job, async (signal) => {
      await database.pool.query(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE ${OURS}`);
      await expect.poll(() => signal.aborted).toBe(true);
    });
    await expect(running).rejects.toThrow(/terminat|connection error/iu);
  });

  test('keeps the lock of a role whose transactions are ended by timeouts', async () => {
    // Postgres before 17 has no transaction_timeout.
    const { rows } = await database.pool.query<{ name: string }>(
      `SELECT name FROM pg_settings WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')`,
    );
    const settings = rows.map(({ name }) => `-c ${name}=100`).join(' ');
    const url = new URL(database.url);
    url.searchParams.set('options', settings);
    const impatient = createPool({ connectionString: url.href, onError: () => {} });
    try {
      const aborted = await withJobLock(impatient, job, async (signal) => {
        await database.pool.query('SELECT pg_sleep(0.5)');
        return signal.aborted;
      });
      expect(aborted).toEqual({ acquired: true, result: false });
    } finally {
      await impatient.end();
    }
  });

  test('holds no snapshot that would keep vacuum from its work', async () => {
    await withJobLock(database.pool, job, async () => {
      const { rows } = await database.pool.query(
        `SELECT a.backend_xmin, a.backend_xid FROM pg_stat_activity a JOIN pg_locks l USING (pid)
         WHERE ${OURS}`,
      );
      expect(rows).toEqual([{ backend_xmin: null, backend_xid: null }]);
    });
  });
});

const run = { job, trigger: 'schedule', dryRun: false, dueAt: null } as const;
const begin = async (more: Partial<NewRun> = {}): Promise<RunBegin> =>
  beginRun(database.pool, { ...run, id: randomUUID(), ...more });
const rows = async (sql: string): Promise<unknown[]> => (await database.pool.query(sql)).rows;

async function beginTable(runId: string | null = null): Promise<string> {
  const { id } = runId === null ? await begin() : { id: runId };
  return openTableRun(database.pool, { runId: id, jobName: job, tableName: 'public.audit_logs', dryRun: false });
}

describe('the history of runs', () => {
  test('has a row for each table of a run, with counts that grow batch by batch', async () => {
    const { id: runId } = await begin({ trigger: 'http' });
    const id = await beginTable(runId);
    await addToTableRun(database.pool, id, { archived: 5, deleted: 5 });
    await addToTableRun(database.pool, id, { archived: 2, deleted: 2 });
    const cutoff = new Date('2025-01-01T00:00:00Z');
    await closeTableRun(database.pool, id, { status: 'partial', cutoff, details: { batches: 2 } });
    await endRun(database.pool, runId, { status: 'partial', errorMessage: 'no time left' });
    expect(await rows('SELECT * FROM archive.archival_runs')).toEqual([
      {
        id,
        run_id: runId,
        job_name: job,
        started_at: expect.any(Date),
        finished_at: expect.any(Date),
        status: 'partial',
        table_name: 'public.audit_logs',
        archived_count: '7',
        deleted_count: '7',
        cutoff,
        duration_ms: expect.stringMatching(/^\d+$/u),
        error_message: null,
        dry_run: false,
        details: { batches: 2 },
      },
    ]);
    expect(await readRun(database.pool, runId)).toMatchObject({
      id: runId,
      job,
      trigger: 'http',
      dueAtMs: null,
      status: 'partial',
      attempts: 1,
      dryRun: false,
      errorMessage: 'no time left',
      durationMs: expect.any(Number) as number,
      tables: [{ id, tableName: 'public.audit_logs', archivedCount: 7 }],
    });
    expect(await readRun(database.pool, randomUUID())).toBeUndefined();
  });

  test('loses the tables of a run that is deleted', async () => {
    const { id } = await begin();
    await beginTable(id);
    await database.pool.query('DELETE FROM spillway.job_runs');
    expect(await rows('SELECT FROM archive.archival_runs')).toEqual([]);
  });

  test('marks what never ended as crashed, with the counts of what was committed', async () => {
    const id = await beginTable();
    await withConnection(database.pool, async (connection) =>
      addToTableRun(connection, id, { archived: 3, deleted: 3 }),
    );
    expect(await begin({ job: 'cron-create-partitions' })).toMatchObject({ kind: 'begun', crashedTables: 0 });
    expect(await begin({ dryRun: true })).toMatchObject({ kind: 'begun', crashedTables: 0 });
    expect(await begin()).toMatchObject({ kind: 'begun', attempt: 1, crashedTables: 1 });
    expect(await rows('SELECT status, archived_count FROM archive.archival_runs')).toEqual([
      { status: 'crashed', archived_count: '3' },
    ]);
    expect(
      await rows(`SELECT status FROM spillway.job_runs WHERE job = '${job}' AND NOT dry_run ORDER BY status`),
    ).toEqual([{ status: 'crashed' }, { status: 'running' }]);
  });

  test('takes a run of the same id over as its next attempt, unless it ended well', async () => {
    const id = randomUUID();
    expect(await begin({ id, trigger: 'http' })).toMatchObject({ attempt: 1 });
    expect(await begin({ id, trigger: 'http' })).toMatchObject({ attempt: 2 });
    await endRun(database.pool, id, { status: 'failed' });
    expect(await begin({ id, trigger: 'http' })).toMatchObject({ attempt: 3 });
    expect(await runningRun(database.pool, job, false)).toBe(id);
    expect(await runningRun(database.pool, job, true)).toBeUndefined();
    await endRun(database.pool, id, { status: 'completed' });
    expect(await begin({ id, trigger: 'http' })).toEqual({ kind: 'ended', id, status: 'completed' });
    expect(await runningRun(database.pool, job, false)).toBeUndefined();
  });
});

const due = async (moment: Date, retryAfterMs?: number): Promise<boolean> =>
  isDue(database.pool, job, moment, retryAfterMs);

describe('a due moment', () => {
  const dueAt = new Date('2025-12-07T02:00:00Z');
  const next = new Date('2025-12-14T02:00:00Z');

  test('is not caught up when it was before the job was installed', async () => {
    expect(await due(dueAt)).toBe(false);
    expect(await due(dueAt)).toBe(false);
    expect(await due(next)).toBe(true);
  });

  test('is over once a run was made for it, and so are those before it', async () => {
    await due(dueAt);
    const { id } = await begin({ dueAt: next });
    await endRun(database.pool, id, { status: 'completed' });
    expect(await due(next)).toBe(false);
    expect(await due(new Date('2025-12-10T00:00:00Z'))).toBe(false);
  });

  test('stays when its run died, and is tried again after a failure, three times in all, in one row', async () => {
    await due(dueAt);
    const { id } = await begin({ dueAt: next });
    expect(await due(next)).toBe(true);
    for (let attempt = 2; attempt <= 3; attempt += 1) {
      expect(await begin({ dueAt: next })).toMatchObject({ id, attempt });
      await endRun(database.pool, id, { status: 'failed', errorMessage: 'disk full' });
      expect(await due(next, 3_600_000)).toBe(false);
      expect(await due(next, 0)).toBe(attempt < 3);
    }
  });

  test('stays when a run by hand found its run dead', async () => {
    await due(dueAt);
    await begin({ dueAt: next });
    const { id } = await begin({ trigger: 'cli' });
    await endRun(database.pool, id, { status: 'failed' });
    expect(await due(next)).toBe(true);
  });

  test.each([
    ['a run by hand that began after it and completed', { trigger: 'cli' }, 'completed', false],
    ['the same by HTTP', { trigger: 'http' }, 'completed', false],
    ['one that is partial', { trigger: 'cli' }, 'partial', true],
    ['one that failed', { trigger: 'http' }, 'failed', true],
    ['a dry run', { trigger: 'cli', dryRun: true }, 'completed', true],
    ['a run of another job', { trigger: 'cli', job: 'cron-create-partitions' }, 'completed', true],
  ] as const)('with %s', async (_, by, status, stays) => {
    await due(dueAt);
    const { id } = await begin(by);
    await endRun(database.pool, id, { status });
    expect(await due(next)).toBe(stays);
    // One that will be due later is not satisfied by it.
    expect(await due(new Date(Date.now() + 3_600_000))).toBe(true);
  });
});
