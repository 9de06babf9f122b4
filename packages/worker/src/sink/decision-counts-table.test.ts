import { describe, expect, it } from 'vitest';
import type { AuditEntry } from '../queue/audit-entry.ts';
import { T0 } from '../../test/block-entries.ts';
import { useMigratedPostgres } from '../../test/migrated.ts';
import { writeEntries } from './write-entries.ts';

const postgres = useMigratedPostgres();
const HOUR = 3_600_000;

function entry(seq: number, facts: Readonly<Record<string, string>> = {}): AuditEntry {
  const fields = { type: 'decisions', epoch: T0, seq, at: T0 + seq, policy: 'standard', outcome: 'allowed' };
  const flat = Object.entries({ ...fields, count: '250', over: '10000', ...facts });
  return [0, `${T0}-${seq}`, flat.flatMap(([name, value]) => [name, String(value)])];
}

describe('a decisions event', () => {
  it('is counted in its minute and its hour, once however often it comes', async () => {
    const first = await writeEntries(postgres.pool, 'test/1', [
      entry(1),
      entry(1),
      entry(2, { outcome: 'blocked' }),
      entry(3, { count: '50' }),
      entry(HOUR, { count: '7' }),
    ]);
    expect(first).toMatchObject({ written: 4, deadLetters: 0 });
    expect(await writeEntries(postgres.pool, 'test/2', [entry(1)])).toMatchObject({ written: 0, duplicates: 1 });
    const counts = await postgres.pool.query(
      'SELECT policy, outcome, minute, count::int FROM spillway.decision_counts ORDER BY minute, outcome',
    );
    const minute = new Date(Math.floor(T0 / 60_000) * 60_000);
    expect(counts.rows).toEqual([
      { policy: 'standard', outcome: 'allowed', minute, count: 300 },
      { policy: 'standard', outcome: 'blocked', minute, count: 250 },
      { policy: 'standard', outcome: 'allowed', minute: new Date(minute.getTime() + HOUR), count: 7 },
    ]);
    const hours = await postgres.pool.query(
      'SELECT outcome, count::int FROM spillway.decision_counts_hourly ORDER BY hour, outcome',
    );
    expect(hours.rows.map(({ outcome, count }) => [outcome, count])).toEqual([
      ['allowed', 300],
      ['blocked', 250],
      ['allowed', 7],
    ]);
  });

  it('is counted once when many workers bring the same reports at once, and none of them deadlocks', async () => {
    const entries = Array.from({ length: 60 }, (_, n) =>
      entry(n + 1, { outcome: n % 2 === 0 ? 'allowed' : 'limited', policy: `tier_${n % 5}` }),
    );
    await Promise.all(
      Array.from({ length: 8 }, async (_, n) =>
        writeEntries(postgres.pool, `test/${n}`, n % 2 === 0 ? entries : entries.toReversed()),
      ),
    );
    const { rows } = await postgres.pool.query(`
      SELECT (SELECT sum(count)::int FROM spillway.decision_counts) AS minutes,
             (SELECT sum(count)::int FROM spillway.decision_counts_hourly) AS hours,
             (SELECT count(*)::int FROM spillway.decision_reports) AS reports`);
    expect(rows).toEqual([{ minutes: 60 * 250, hours: 60 * 250, reports: 60 }]);
  });

  it('counts nothing of a batch in which one report is refused, and all others once they are told apart', async () => {
    const report = await writeEntries(postgres.pool, 'test/1', [entry(1), entry(2, { count: '1e300' }), entry(3)]);
    expect(report).toMatchObject({ written: 2, deadLetters: 1 });
    const { rows } = await postgres.pool.query('SELECT sum(count)::int AS n FROM spillway.decision_counts');
    expect(rows).toEqual([{ n: 500 }]);
  });

  it('is dead-lettered when it makes no sense', async () => {
    const report = await writeEntries(postgres.pool, 'test/1', [entry(1, { count: 'many' })]);
    expect(report).toMatchObject({ written: 0, deadLetters: 1 });
  });
});
