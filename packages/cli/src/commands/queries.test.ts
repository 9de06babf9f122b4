import { migrate } from '@spillway/db';
import { startReplicatedPostgres, usePostgres } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished } from 'vitest';
import { spillway } from '../../test/spillway.ts';
import { useServers } from '../../test/use-servers.ts';

const servers = useServers();

it('prints the answers of the three monitoring queries', async () => {
  await servers.postgres.pool.query(`
    INSERT INTO circuit_breaker_events (id, outbox_shard, outbox_epoch, outbox_seq, breaker_name, preset, event_type, failure_count, breaker_epoch)
    SELECT gen_random_uuid(), 0, 1, row_number() OVER (), 'runware', 'ai_provider', type, 5, 1 FROM unnest(ARRAY['opened', 'half_open']) AS type;
    INSERT INTO archive.archival_runs (job_name, table_name, status, archived_count, finished_at)
    VALUES ('cron-archive-data', 'public.api_call_logs', 'completed', 7, now())`);
  const people = await spillway(['queries'], servers.env);
  expect(people).toMatchObject({ code: 0, stderr: '' });
  expect(people.stdout).toMatch(/Rate limit blocks in last 24h\n.*\n│ count │\n.*\n│ 0 +│/u);
  expect(people.stdout).toMatch(/runware +│ opened +│ 1/u);
  expect(people.stdout).toMatch(/cron-archive-data +│ public\.api_call_logs +│ completed +│ 7/u);

  const program = await spillway(['queries', '--json'], servers.env);
  expect(JSON.parse(program.stdout)).toEqual({
    blocks: [{ count: 0 }],
    breakers: expect.arrayContaining([
      { breaker_name: 'runware', event_type: 'opened', count: 1 },
      { breaker_name: 'runware', event_type: 'half_open', count: 1 },
    ]),
    archival: [expect.objectContaining({ table_name: 'public.api_call_logs', archived_count: 7 })],
  });
});

it('reads a replica where DATABASE_READ_URL names one, and says how far it is behind', async () => {
  const { primary, replica, stop } = await startReplicatedPostgres();
  onTestFinished(stop);
  await migrate({ connectionString: primary.url });
  const env = { ...servers.env, DATABASE_READ_URL: replica.url };
  await expect
    .poll(async () => JSON.parse((await spillway(['queries', '--json'], env)).stdout || '{}'), { timeout: 60_000 })
    .toEqual({ blocks: [{ count: 0 }], breakers: [], archival: [], behindMs: 0 });
  expect((await spillway(['queries'], env)).stdout).toContain('From a replica, 0 ms behind');
}, 120_000);

const postgres = usePostgres({ scope: 'file' });

it.each([
  [['queries']],
  [['key', 'create', '--name', 'ops', '--scope', 'admin']],
  [['key', 'list']],
  [['maintenance', 'run', 'cron-cleanup-rate-limits']],
])('%j says of a database without our tables that it is not migrated', async (args) => {
  const { code, stdout, stderr } = await spillway(args, { DATABASE_URL: postgres.url });
  expect(code).toBe(1);
  expect(`${stdout}${stderr}`.replaceAll(/[\s│]+/gu, ' ')).toContain('run spillway migrate');
});
