import { createHash } from 'node:crypto';
import { ensureMetricDays, withConnection } from '@spillway/db';
import { beforeEach, describe, expect, it } from 'vitest';
import type { AuditEntry } from '../queue/audit-entry.ts';
import { T0 } from '../../test/block-entries.ts';
import { nearLimitEntry } from '../../test/near-limit-entry.ts';
import { useMigratedPostgres } from '../../test/migrated.ts';
import { writeEntries } from './write-entries.ts';

const postgres = useMigratedPostgres();

beforeEach(async () => {
  const day = { now: new Date(T0), daysBehind: 0, daysAhead: 0 };
  await withConnection(postgres.pool, async (connection) => ensureMetricDays(connection, day));
});

const write = (...entries: AuditEntry[]) => writeEntries(postgres.pool, 'test/1', entries);
const rows = async (): Promise<Record<string, unknown>[]> =>
  (await postgres.pool.query('SELECT * FROM system_metrics ORDER BY recorded_at')).rows;

describe('a near_limit event', () => {
  it('becomes a sample that says how much is used, by whom as a hash, and of what', async () => {
    expect(await write(nearLimitEntry({ seq: 1, shard: 3 }))).toMatchObject({ written: 1, deadLetters: 0 });
    const subject_hash = createHash('sha256').update('ada').digest('hex').slice(0, 32);
    expect(await rows()).toEqual([
      expect.objectContaining({
        metric_name: 'rate_limit.near_limit',
        metric_value: '0.8',
        metric_unit: 'ratio',
        tags: { policy: 'standard', action: 'upload', subject_hash, limit: 100, remaining: 20 },
        recorded_at: new Date(T0 + 1),
        outbox_shard: 3,
        outbox_epoch: String(T0),
        outbox_seq: '1',
      }),
    ]);
    const stats = await postgres.pool.query(`SELECT count FROM get_metric_stats('rate_limit.near_limit', 1000000)`);
    expect(stats.rows).toEqual([{ count: '1' }]);
  });

  it('is one sample however often it comes, in one job or in two', async () => {
    expect(
      await write(nearLimitEntry({ seq: 1 }), nearLimitEntry({ seq: 1 }), nearLimitEntry({ seq: 2, remaining: '5' })),
    ).toMatchObject({
      written: 2,
    });
    expect(await write(nearLimitEntry({ seq: 1 }))).toMatchObject({ written: 0, duplicates: 1, deadLetters: 0 });
    expect(await rows()).toHaveLength(2);
  });

  it('survives an action that Postgres has no characters for, and is dead-lettered when it makes no sense', async () => {
    expect(
      await write(nearLimitEntry({ seq: 1, action: 'a\0b' }), nearLimitEntry({ seq: 2, remaining: 'few' })),
    ).toMatchObject({
      written: 1,
      deadLetters: 1,
    });
  });
});
