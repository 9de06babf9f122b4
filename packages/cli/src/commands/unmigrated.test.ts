import { usePostgres } from '@spillway/local-servers/testing';
import { expect, it } from 'vitest';
import { spillway } from '../../test/spillway.ts';

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
