import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { createPool } from '../connection/create-pool.ts';
import { withConnection } from '../connection/with-connection.ts';
import { useDatabase } from '../testing/use-database.ts';
import { withJobLock } from './job-lock.ts';
import { addToRun, closeRun, markCrashedRuns, openRun } from './run-record.ts';
import { closeSlot, isSlotOpen, openSlot } from './scheduled-run.ts';

const database = useDatabase();
const job = 'cron-archive-data';

describe('withJobLock', () => {
  test('lets one of twenty run, the others not, and afterwards the next', async () => {
    const gate = new AbortController();
    const first = withJobLock(database.pool, job, async () => {
      await once(gate.signal, 'abort');
    });
    const holders = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 727402`;
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
      await database.pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 727402`,
      );
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
         WHERE l.locktype = 'advisory' AND l.classid = 727402`,
      );
      expect(rows).toEqual([{ backend_xmin: null, backend_xid: null }]);
    });
  });
});

async function begin(): Promise<string> {
  return openRun(database.pool, { runId: randomUUID(), jobName: job, tableName: 'public.audit_logs', dryRun: false });
}

describe('the history of runs', () => {
  test('has a row for each run, with counts that grow batch by batch', async () => {
    const id = await begin();
    await addToRun(database.pool, id, { archived: 5, deleted: 5 });
    await addToRun(database.pool, id, { archived: 2, deleted: 2 });
    const cutoff = new Date('2025-01-01T00:00:00Z');
    await closeRun(database.pool, id, { status: 'partial', cutoff, details: { batches: 2 } });
    const { rows } = await database.pool.query('SELECT * FROM archive.archival_runs');
    expect(rows).toEqual([
      {
        id,
        run_id: expect.any(String),
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
  });

  test('marks what never ended as crashed, with the counts of what was committed', async () => {
    const id = await begin();
    await withConnection(database.pool, async (connection) => addToRun(connection, id, { archived: 3, deleted: 3 }));
    expect(await markCrashedRuns(database.pool, 'cron-create-partitions')).toBe(0);
    expect(await markCrashedRuns(database.pool, job)).toBe(1);
    const { rows } = await database.pool.query('SELECT status, archived_count FROM archive.archival_runs');
    expect(rows).toEqual([{ status: 'crashed', archived_count: '3' }]);
  });
});

describe('a slot', () => {
  const slot = new Date('2025-12-07T02:00:00Z');
  const next = new Date('2025-12-14T02:00:00Z');

  test('is not caught up when it was before the job was installed', async () => {
    expect(await isSlotOpen(database.pool, job, slot)).toBe(false);
    expect(await isSlotOpen(database.pool, job, slot)).toBe(false);
    expect(await isSlotOpen(database.pool, job, next)).toBe(true);
  });

  test('is closed once it was run, and so are those before it', async () => {
    await isSlotOpen(database.pool, job, slot);
    await openSlot(database.pool, job, next);
    await closeSlot(database.pool, job, next, { runId: null, status: 'completed' });
    expect(await isSlotOpen(database.pool, job, next)).toBe(false);
    expect(await isSlotOpen(database.pool, job, new Date('2025-12-10T00:00:00Z'))).toBe(false);
  });

  test('stays open when its run died, and is tried again after a failure, three times in all', async () => {
    await isSlotOpen(database.pool, job, slot);
    await openSlot(database.pool, job, next);
    expect(await isSlotOpen(database.pool, job, next)).toBe(true);
    for (let attempt = 2; attempt <= 3; attempt += 1) {
      await openSlot(database.pool, job, next);
      await closeSlot(database.pool, job, next, { runId: null, status: 'failed', errorMessage: 'disk full' });
      expect(await isSlotOpen(database.pool, job, next, 3_600_000)).toBe(false);
      expect(await isSlotOpen(database.pool, job, next, 0)).toBe(attempt < 3);
    }
  });
});
