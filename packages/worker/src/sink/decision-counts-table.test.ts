import { describe, expect, it } from 'vitest';
import type { AuditEntry } from '../queue/audit-entry.ts';
import { T0 } from '../testing/block-entries.ts';
import { useMigratedPostgres } from '../testing/migrated.ts';
import { writeEntries } from './write-entries.ts';

const postgres = useMigratedPostgres();

function entry(seq: number, facts: Readonly<Record<string, string>> = {}): AuditEntry {
  const fields = { type: 'decisions', epoch: T0, seq, at: T0 + seq, policy: 'standard', outcome: 'allowed' };
  const flat = Object.entries({ ...fields, count: '250', over: '10000', ...facts });
  return [0, `${T0}-${seq}`, flat.flatMap(([name, value]) => [name, String(value)])];
}

describe('a decisions event', () => {
  it('becomes a sample whose value is the count, once however often it comes', async () => {
    const first = await writeEntries(postgres.pool, 'test/1', [entry(1), entry(1), entry(2, { outcome: 'blocked' })]);
    expect(first).toMatchObject({ written: 2, deadLetters: 0 });
    expect(await writeEntries(postgres.pool, 'test/2', [entry(1)])).toMatchObject({ written: 0, duplicates: 1 });
    const { rows } = await postgres.pool.query('SELECT * FROM system_metrics ORDER BY recorded_at');
    expect(rows).toEqual([
      expect.objectContaining({
        metric_name: 'rate_limit.decisions',
        metric_value: '250',
        metric_unit: 'decisions',
        tags: { policy: 'standard', outcome: 'allowed', over_ms: 10_000 },
        recorded_at: new Date(T0 + 1),
      }),
      expect.objectContaining({ tags: { policy: 'standard', outcome: 'blocked', over_ms: 10_000 } }),
    ]);
  });

  it('is dead-lettered when it makes no sense', async () => {
    const report = await writeEntries(postgres.pool, 'test/1', [entry(1, { count: 'many' })]);
    expect(report).toMatchObject({ written: 0, deadLetters: 1 });
  });
});
