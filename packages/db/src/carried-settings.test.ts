import { Client } from 'pg';
import { beforeEach, describe, expect, test } from 'vitest';
import { blockRow, breakerEventRow, noonMs, useDatabase } from '../test/use-database.ts';
import { createPool, transaction, withConnection } from './connection.ts';
import { migrate } from './migrate/migrate.ts';
import { insertBreakerEvents, listBlocks, listBreakerEvents, upsertBlocks } from './trail/event-rows.ts';

const database = useDatabase('empty');

describe('settings that a role or a database carries', () => {
  const odd = {
    array_nulls: 'off',
    bytea_output: 'escape',
    datestyle: 'German',
    default_transaction_isolation: 'serializable',
    extra_float_digits: '-15',
    intervalstyle: 'sql_standard',
    quote_all_identifiers: 'on',
    row_security: 'off',
    standard_conforming_strings: 'off',
    synchronous_commit: 'off',
    transform_null_equals: 'on',
    'plpgsql.extra_errors': 'all',
    'plpgsql.variable_conflict': 'use_column',
  };

  beforeEach(async () => {
    const name = new URL(database.url).pathname.slice(1);
    for (const [setting, value] of Object.entries(odd)) {
      await database.pool.query(`ALTER DATABASE "${name}" SET ${setting} = '${value}'`);
    }
  });

  test('change nothing of what is written and read over a pool', async () => {
    const pool = createPool({ connectionString: database.url, onError: () => undefined });
    try {
      await migrate({ pool });
      expect((await migrate({ pool })).applied).toEqual([]);
      const event = breakerEventRow({ errorMessage: null, breakerEpoch: null });
      expect(await insertBreakerEvents(pool, [event])).toBe(1);
      expect(await upsertBlocks(pool, [blockRow({ blockedUntilMs: noonMs + 1.5 })])).toBe(1);
      const { rows } = await listBreakerEvents(pool);
      expect(rows).toMatchObject([{ errorMessage: null, breakerEpoch: null, createdAtMs: event.createdAtMs }]);
      expect((await listBlocks(pool)).rows).toMatchObject([{ blockedUntilMs: noonMs + 1.5 }]);
      expect((await pool.query('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'local' }]);
    } finally {
      await pool.end();
    }
  });

  test('keep no role from writing that may not set all of them', async () => {
    await migrate({ pool: database.pool });
    const login = `plain_${process.pid}`;
    await database.pool.query(`CREATE ROLE ${login} LOGIN; GRANT spillway_writer TO ${login}`);
    const url = new URL(database.url);
    url.username = login;
    const pool = createPool({ connectionString: url.href, onError: () => undefined });
    try {
      await withConnection(pool, async (connection) => {
        // From here on the session knows PL/pgSQL's settings, one of which only a superuser may change.
        await connection.query('DO $$ BEGIN END $$');
        expect(await transaction(connection, {}, async () => upsertBlocks(connection, [blockRow({})]))).toBe(1);
      });
    } finally {
      await pool.end();
      await database.pool.query(`DROP ROLE ${login}`);
    }
  });

  test('hold in no transaction, whose connection keeps them, as a pooler needs it', async () => {
    const client = new Client({ connectionString: database.url });
    await client.connect();
    const names = Object.keys(odd);
    const settings = async (): Promise<unknown> =>
      (await client.query('SELECT current_setting(name) AS is FROM unnest($1::text[]) AS name', [names])).rows;
    const before = await settings();
    await transaction(client, {}, async () => {
      const { rows } =
        await client.query(`SELECT ARRAY[NULL]::text[] = '{NULL}' AS null, current_setting('datestyle') AS style,
        current_setting('transaction_isolation') AS isolation, current_setting('synchronous_commit') AS commit`);
      expect(rows).toEqual([{ null: true, style: 'ISO, MDY', isolation: 'read committed', commit: 'local' }]);
    });
    expect(await settings()).toEqual(before);
    await client.end();
  });
});
