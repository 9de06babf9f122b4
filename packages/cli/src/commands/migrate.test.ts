import { usePostgres } from '@spillway/local-servers/testing';
import { expect, it } from 'vitest';
import { spillway } from '../../test/spillway.ts';

const postgres = usePostgres();

it('makes the tables and the months, and finds nothing to do the next time', async () => {
  const env = { DATABASE_URL: postgres.url };
  const first = await spillway(['migrate'], env);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toMatch(/^Applied 0000_trail, .*\.\nMade partitions /u);
  expect((await postgres.pool.query('SELECT count(*)::int AS n FROM rate_limits_v2')).rows).toEqual([{ n: 0 }]);
  const second = await spillway(['migrate', '--json'], env);
  expect(second).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(second.stdout)).toMatchObject({
    applied: [],
    partitions: Array.from({ length: 4 }, () => ({ created: [] })),
  });
});
