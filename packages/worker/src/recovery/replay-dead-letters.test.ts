import { beforeEach, describe, expect, it } from 'vitest';
import { writeEntries } from '../sink/write-entries.ts';
import { replayDeadLetters } from './replay-dead-letters.ts';
import { blockEntry } from '../../test/entries.ts';
import { useMigratedPostgres } from '../../test/helpers.ts';

const postgres = useMigratedPostgres();
const subjects = Array.from({ length: 20 }, (_, index) => (index % 5 === 0 ? `poison ${index}` : `ok ${index}`));

beforeEach(async () => {
  await postgres.pool.query(
    "ALTER TABLE rate_limits_v2 ADD CONSTRAINT no_poison CHECK (identifier NOT LIKE 'poison%')",
  );
  const entries = subjects.map((subject, index) => blockEntry({ seq: index + 1, subject }));
  await writeEntries(postgres.pool, 'test/1', entries);
});

const fix = () => postgres.pool.query('ALTER TABLE rate_limits_v2 DROP CONSTRAINT no_poison');
const count = async (sql: string): Promise<number> => (await postgres.pool.query(sql)).rowCount ?? 0;
const rows = () => count('SELECT FROM rate_limits_v2');
const waiting = () => count('SELECT FROM spillway.audit_dead_letters WHERE replayed_at IS NULL');

describe('replayDeadLetters', () => {
  it('leaves a letter that is refused again as it was, and says why', async () => {
    const report = await replayDeadLetters({ pool: postgres.pool });
    expect(report).toMatchObject({ selected: 4, replayed: [], dryRun: false });
    expect(report.failed).toHaveLength(4);
    expect(report.failed[0]?.reason).toContain('violates check constraint "no_poison"');
    expect([await rows(), await waiting()]).toEqual([16, 4]);
  });

  it('only tries when it is told to', async () => {
    await fix();
    expect(await replayDeadLetters({ pool: postgres.pool }, { dryRun: true })).toMatchObject({
      selected: 4,
      replayed: [expect.any(String), expect.any(String), expect.any(String), expect.any(String)],
      failed: [],
      dryRun: true,
    });
    expect([await rows(), await waiting()]).toEqual([16, 4]);
  });

  it('stores what is meant after the fix, and once', async () => {
    await fix();
    const { rows: letters } = await postgres.pool.query<{ id: string }>(
      'SELECT id FROM spillway.audit_dead_letters ORDER BY id',
    );
    const ids = letters.slice(0, 2).map(({ id }) => id);
    const progress: number[] = [];
    const onProgress = (done: number): number => progress.push(done);
    const report = await replayDeadLetters({ pool: postgres.pool }, { ids, onProgress });
    expect(report.replayed.toSorted()).toEqual(ids);
    expect(progress).toEqual([1, 2]);
    expect([await rows(), await waiting()]).toEqual([18, 2]);
    expect(await replayDeadLetters({ pool: postgres.pool }, { ids })).toMatchObject({ selected: 0 });
    const future = { from: new Date(Date.now() + 3_600_000) };
    expect(await replayDeadLetters({ pool: postgres.pool }, future)).toMatchObject({ selected: 0 });
    const past = { from: new Date(0), to: new Date(Date.now() + 3_600_000) };
    expect(await replayDeadLetters({ pool: postgres.pool }, past)).toMatchObject({ selected: 2 });
    expect([await rows(), await waiting()]).toEqual([20, 0]);
  });

  it('stores each once when several people replay at once', async () => {
    await fix();
    const reports = await Promise.all([1, 2, 3, 4].map(() => replayDeadLetters({ pool: postgres.pool })));
    expect(reports.flatMap(({ replayed }) => replayed).toSorted()).toHaveLength(4);
    expect([await rows(), await waiting()]).toEqual([20, 0]);
  });

  it('says so when a payload is not one of ours', async () => {
    await fix();
    await postgres.pool.query('UPDATE spillway.audit_dead_letters SET payload = \'{"what": 1}\'');
    const { failed } = await replayDeadLetters({ pool: postgres.pool });
    expect(new Set(failed.map(({ reason }) => reason))).toEqual(new Set(['the payload is no outbox entry']));
  });
});
