import { createHash } from 'node:crypto';
import { migrate } from '@spillway/db';
import { usePostgres } from '@spillway/embedded/testing';
import { describe, expect, it } from 'vitest';
import type { AuditEntry } from '../queue/audit-entry.ts';
import { T0 } from '../testing/block-entries.ts';
import { writeEntries } from './write-entries.ts';

const postgres = usePostgres({
  migrate: async (url) => {
    await migrate({ connectionString: url });
  },
  template: 'worker',
  scope: 'test',
});

function nearLimitEntry(seq: number, remaining: string, action = 'upload'): AuditEntry {
  const fields = { type: 'near_limit', epoch: T0, seq, at: T0 + seq, limit: 100, remaining };
  const key = `{sw:03}:w:standard:${action.length}:${action}:ada`;
  return [3, `${T0}-${seq}`, [...Object.entries(fields).flatMap(([name, value]) => [name, String(value)]), 'key', key]];
}

const write = (...entries: AuditEntry[]) => writeEntries(postgres.pool, 'test/1', entries);
const rows = async (): Promise<Record<string, unknown>[]> =>
  (await postgres.pool.query('SELECT * FROM system_metrics ORDER BY recorded_at')).rows;

describe('a near_limit event', () => {
  it('becomes a sample that says how much is used, by whom as a hash, and of what', async () => {
    expect(await write(nearLimitEntry(1, '20'))).toEqual({ written: 1, deadLetters: 0 });
    const subject_hash = createHash('sha256').update('ada').digest('hex').slice(0, 32);
    expect(await rows()).toEqual([
      expect.objectContaining({
        metric_name: 'rate_limit.near_limit',
        metric_value: '0.8',
        metric_unit: 'ratio',
        tags: { policy: 'standard', action: 'upload', subject_hash, limit: 100, remaining: 20 },
        recorded_at: new Date(T0 + 1),
      }),
    ]);
    const stats = await postgres.pool.query(`SELECT count FROM get_metric_stats('rate_limit.near_limit', 1000000)`);
    expect(stats.rows).toEqual([{ count: '1' }]);
  });

  it('is one sample however often it comes, in one job or in two', async () => {
    expect(await write(nearLimitEntry(1, '20'), nearLimitEntry(1, '20'), nearLimitEntry(2, '5'))).toMatchObject({
      written: 2,
    });
    expect(await write(nearLimitEntry(1, '20'))).toEqual({ written: 0, deadLetters: 0 });
    expect(await rows()).toHaveLength(2);
  });

  it('survives an action that Postgres has no characters for, and is dead-lettered when it makes no sense', async () => {
    expect(await write(nearLimitEntry(1, '20', 'a\0b'), nearLimitEntry(2, 'few'))).toEqual({
      written: 1,
      deadLetters: 1,
    });
  });
});
