import { migrate } from '@spillway/db';
import { usePostgres } from '@spillway/local-servers/testing';
import { expect, it } from 'vitest';
import { recordingLogger } from '../../test/recording-logger.ts';
import { archiveData } from './maintenance-jobs.ts';

const postgres = usePostgres({ scope: 'test' });

it('archives plain tables by rows and partitioned ones by partitions, in one report and one history', async () => {
  await postgres.pool.query(`
    CREATE TABLE api_call_logs (id int, created_at timestamptz, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
    CREATE TABLE old PARTITION OF api_call_logs FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00');
    CREATE TABLE young PARTITION OF api_call_logs FOR VALUES FROM ('2020-02-01 00:00+00') TO (MAXVALUE);
    INSERT INTO api_call_logs SELECT n, '2020-01-15 00:00+00' FROM generate_series(1, 7) AS n;
    INSERT INTO api_call_logs VALUES (8, '2020-03-03 00:00+00'), (9, now())`);
  await migrate({ connectionString: postgres.url });
  await postgres.pool.query(`
    INSERT INTO audit_logs (action, resource_type, created_at)
    SELECT 'login', 'user', now() - interval '91 days' FROM generate_series(1, 3)`);
  const report = await archiveData({ pool: postgres.pool, logger: recordingLogger() });
  expect(report).toMatchObject({
    status: 'completed',
    tables: [
      {
        table: 'public.api_call_logs',
        archived: 8,
        deleted: 8,
        details: {
          partitionsMoved: [{ partition: 'archive.api_call_logs_2020_01', rows: 7 }],
          partitionsCreated: ['api_call_logs_2020_03'],
          partitionsWaiting: [],
          batches: 1,
        },
      },
      { table: 'public.audit_logs', archived: 3, details: { partitionsMoved: [] } },
      { table: 'public.generations', archived: 0 },
    ],
  });
  const history = await postgres.pool.query(
    'SELECT archived_count::int AS archived FROM archive.archival_runs ORDER BY started_at',
  );
  expect(history.rows).toEqual([{ archived: 8 }, { archived: 3 }, { archived: 0 }]);
});
