import { type PostgresServer, startPostgres } from '@spillway/local-servers';
import { useLogins } from '@spillway/local-servers/testing';
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { archiveRows } from '../archive/archive-rows.ts';
import { builtInArchives } from '../archive/archive-table.ts';
import { builtInCleanups } from '../cleanup/cleanup-rule.ts';
import { cleanUpRows } from '../cleanup/clean-up-rows.ts';
import { migrate } from '../migrate/migrate.ts';
import { ensurePartitions } from '../partitions/ensure-partitions.ts';
import { retirePartitions } from '../partitions/retire-partitions.ts';
import { insertDeadLetters } from '../trail/dead-letters.ts';
import { insertGaps, upsertOutages, type GapRow } from '../trail/gaps.ts';
import { blockRow, breakerEventRow, noonMs, useDatabase } from '../../test/use-database.ts';
import { tablePrivileges } from './privileges.ts';
import { withConnection, createPool } from '../connection.ts';
import { rollUpMetrics, insertMetrics } from '../metrics.ts';
import { readTrailHealth, recordMetrics } from '../monitoring.ts';
import { upsertBlocks, insertBreakerEvents } from '../trail/event-rows.ts';

const database = useDatabase();
const logins = useLogins();

const gap = (overrides: Partial<GapRow> = {}): GapRow => ({
  id: '11111111-1111-8111-8111-111111111111',
  kind: 'limiter_outage',
  detail: { reports: 1 },
  detectedAtMs: noonMs,
  ...overrides,
});

/** Runs as a user who is a member of one role. */
async function as<T>(role: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: await logins.create(database.url, role) });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const denied = { code: '42501' };

async function fillTrail(): Promise<void> {
  await upsertBlocks(database.pool, [blockRow()]);
  await insertBreakerEvents(database.pool, [breakerEventRow()]);
  await insertGaps(database.pool, [gap()]);
  await insertDeadLetters(database.pool, [
    {
      id: '22222222-2222-8222-8222-222222222222',
      sourceJob: 'audit/1',
      reason: 'r',
      payload: {},
    },
  ]);
}

test('every table has its line in the list of privileges', async () => {
  const { rows } = await database.pool.query<{ name: string }>(
    `SELECT format('%s.%s', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('public', 'archive', 'spillway') AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1`,
  );
  expect(rows.map(({ name }) => name)).toEqual(Object.keys(tablePrivileges).toSorted());
});

describe('the writer', () => {
  const trail = [
    'rate_limits_v2',
    'circuit_breaker_events',
    'spillway.audit_gaps',
    'spillway.audit_dead_letters',
    'spillway.changes',
    'audit_logs',
  ];

  test('can neither change, delete nor empty a table of the trail', async () => {
    await fillTrail();
    await as('spillway_writer', async (client) => {
      for (const table of trail) {
        await expect(client.query(`UPDATE ${table} SET id = id`), table).rejects.toMatchObject(denied);
        await expect(client.query(`DELETE FROM ${table}`), table).rejects.toMatchObject(denied);
        await expect(client.query(`TRUNCATE ${table}`), table).rejects.toMatchObject(denied);
        await expect(client.query(`DROP TABLE ${table}`), table).rejects.toMatchObject(denied);
      }
    });
  });

  test('has no right to update or delete on any table of the trail, nor on one column of it', async () => {
    const { rows } = await database.pool.query(
      `SELECT t AS table, p AS privilege FROM unnest($1::text[]) AS t CROSS JOIN unnest('{UPDATE,REFERENCES}'::text[]) AS p
       WHERE has_any_column_privilege('spillway_writer', t, p)
       UNION ALL SELECT t, p FROM unnest($1::text[]) AS t CROSS JOIN unnest('{DELETE,TRUNCATE,TRIGGER}'::text[]) AS p
       WHERE has_table_privilege('spillway_writer', t, p)`,
      [trail],
    );
    expect(rows).toEqual([]);
  });

  test('writes all that the sink writes, and moves a block forward but not back', async () => {
    const later = { updatedAtMs: noonMs + 1_000, deniedCount: 9, lastRequestAtMs: noonMs + 1_000 };
    const block = blockRow();
    await as('spillway_writer', async (client) => {
      expect(await upsertBlocks(client, [block])).toBe(1);
      expect(
        await upsertBlocks(client, [{ ...block, ...later, tier: 'forged', createdAtMs: 0, requestCount: 0 }]),
      ).toBe(1);
      expect(await upsertBlocks(client, [{ ...block, deniedCount: 0 }])).toBe(0);
      expect(await insertBreakerEvents(client, [breakerEventRow()])).toBe(1);
      expect(await insertGaps(client, [gap()])).toBe(1);
      expect(await upsertOutages(client, [gap({ detail: { reports: 2 } })])).toBe(1);
      expect(await upsertOutages(client, [gap({ detail: { reports: 1 } })])).toBe(0);
      const letter = { id: '33333333-3333-8333-8333-333333333333', sourceJob: 'audit/1', reason: 'r', payload: {} };
      expect(await insertDeadLetters(client, [letter])).toBe(1);
      expect(await insertDeadLetters(client, [letter])).toBe(0);
      const metric = {
        metricName: 'm',
        metricValue: 1,
        metricUnit: null,
        tags: {},
        recordedAtMs: Date.now(),
        outbox: null,
      };
      expect(await insertMetrics(client, [{ id: '44444444-4444-8444-8444-444444444444', ...metric }])).toBe(1);
      await client.query("SELECT record_metric('m', 2)");
    });
    const { rows } = await database.pool.query(
      'SELECT tier, request_count::int, denied_count::int, extract(epoch FROM created_at)::float8 * 1000 AS created FROM rate_limits_v2',
    );
    expect(rows).toEqual([{ tier: 'generation', request_count: 20, denied_count: 9, created: noonMs }]);
  });
});

describe('the reader', () => {
  test('reads every table and calls the statistics', async () => {
    await fillTrail();
    await as('spillway_reader', async (client) => {
      for (const [table, { reader }] of Object.entries(tablePrivileges)) {
        if (reader !== undefined) await client.query(`SELECT * FROM ${table} LIMIT 1`);
      }
      expect((await client.query('SELECT * FROM rate_limits_v2')).rowCount).toBe(1);
      expect((await client.query("SELECT * FROM get_metric_stats('m')")).rowCount).toBe(1);
    });
  });

  test('sees no key of the API, and neither does the writer', async () => {
    for (const role of ['spillway_reader', 'spillway_writer', 'spillway_maintenance']) {
      await as(role, async (client) => {
        await expect(client.query('SELECT FROM spillway.api_keys'), role).rejects.toMatchObject(denied);
      });
    }
    await as('spillway_api', async (client) => {
      expect((await client.query('SELECT FROM spillway.api_keys')).rowCount).toBe(0);
    });
  });

  test('cannot write to any table', async () => {
    await as('spillway_reader', async (client) => {
      for (const table of Object.keys(tablePrivileges)) {
        await expect(client.query(`INSERT INTO ${table} DEFAULT VALUES`), table).rejects.toMatchObject(denied);
        await expect(client.query(`DELETE FROM ${table}`), table).rejects.toMatchObject(denied);
        await expect(client.query(`TRUNCATE ${table}`), table).rejects.toMatchObject(denied);
      }
    });
  });

  test('cannot write through the functions either', async () => {
    await as('spillway_reader', async (client) => {
      await expect(upsertBlocks(client, [blockRow()])).rejects.toMatchObject(denied);
      await expect(upsertOutages(client, [gap()])).rejects.toMatchObject(denied);
      await expect(client.query("SELECT record_metric('m', 1)")).rejects.toMatchObject(denied);
      await expect(client.query('CREATE TABLE mine (a int)')).rejects.toMatchObject(denied);
    });
  });
});

describe('maintenance', () => {
  test('creates months, archives, cleans up, sums up and drops months, whichever of its members owns them', async () => {
    await database.pool.query(`
      INSERT INTO audit_logs (action, resource_type, created_at)
      SELECT 'login', 'session', now() - interval '400 days' FROM generate_series(1, 50)`);
    await upsertBlocks(database.pool, [blockRow()]);
    await as('spillway_maintenance', async (client) => {
      for (const { target } of builtInArchives) await ensurePartitions(client, { table: target, monthsAhead: 5 });
      const auditLogs = builtInArchives.find(({ target }) => target.name === 'audit_logs');
      if (auditLogs === undefined) throw new Error('no such archive');
      expect(await archiveRows(client, auditLogs)).toMatchObject({ moved: 50, stopped: 'done' });
      for (const rule of builtInCleanups) await cleanUpRows(client, rule);
      expect((await client.query('SELECT FROM rate_limits_v2')).rowCount).toBe(0);
      await recordMetrics(client, [{ name: 'm', value: 1, unit: null, tags: {} }]);
      await rollUpMetrics(client);
      await readTrailHealth(client);
    });
    await as('spillway_maintenance', async (client) => {
      const report = await retirePartitions(client, {
        table: { schema: 'archive', name: 'audit_logs' },
        keepMonths: 3,
        action: 'drop',
      });
      expect(report.dropped).toHaveLength(1);
    });
  });
});

test('lets the roles in where PUBLIC can neither connect nor look into a schema, and again where that came later', async () => {
  const name = new URL(database.url).pathname.slice(1);
  const roles = 'spillway_reader, spillway_maintenance';
  const harden = `REVOKE ALL ON DATABASE "${name}" FROM PUBLIC, ${roles}; REVOKE ALL ON SCHEMA public FROM PUBLIC, ${roles}`;
  for (const before of [harden, 'SELECT', harden]) {
    await database.pool.query(before);
    await migrate({ connectionString: database.url });
    await as('spillway_reader', async (client) => {
      expect((await client.query('SELECT FROM rate_limits_v2')).rowCount).toBe(0);
    });
    await as('spillway_maintenance', async (client) => {
      for (const rule of builtInCleanups) await cleanUpRows(client, rule);
    });
  }
});

describe('where roles cannot be made', () => {
  let server: PostgresServer;
  let admin: Client;
  beforeAll(async () => {
    server = await startPostgres();
    admin = new Client({ connectionString: server.url });
    await admin.connect();
    await admin.query('CREATE ROLE tenant LOGIN');
  });
  afterAll(async () => {
    await admin.end();
    await server.stop();
  });
  let url: string;
  beforeEach(async () => {
    await admin.query('DROP DATABASE IF EXISTS tenant');
    await admin.query('CREATE DATABASE tenant OWNER tenant');
    url = server.url.replace(/\/\/[^@]*@/u, '//tenant@').replace(/\/[^/]*$/u, '/tenant');
  });

  test('migrates all the same, says so, and grants once somebody made them', async () => {
    const first = await migrate({ connectionString: url });
    expect(first.roles).toEqual({
      created: [],
      missing: ['spillway_writer', 'spillway_maintenance', 'spillway_reader', 'spillway_api'],
      refused: undefined,
      exposed: [],
    });
    const pool = createPool({ connectionString: url, onError: () => {} });
    try {
      expect(await upsertBlocks(pool, [blockRow()])).toBe(1);
      await admin.query('CREATE ROLE spillway_writer; CREATE ROLE spillway_reader; CREATE ROLE spillway_api');
      const second = await migrate({ connectionString: url });
      expect(second.roles).toEqual({ created: [], missing: ['spillway_maintenance'], refused: undefined, exposed: [] });
      const allowed = `SELECT has_table_privilege('spillway_reader', 'rate_limits_v2', 'SELECT') AS read,
                              has_function_privilege('spillway_writer', p.oid, 'EXECUTE') AS write
                       FROM pg_proc p WHERE proname = 'upsert_blocks'`;
      expect((await pool.query(allowed)).rows).toEqual([{ read: true, write: true }]);
      await admin.query('CREATE ROLE spillway_maintenance');
      const third = await migrate({ connectionString: url });
      expect(third.roles.refused).toMatch(/spillway_maintenance/u);
      await admin.query('GRANT spillway_maintenance TO tenant');
      expect((await migrate({ connectionString: url })).roles).toEqual({
        created: [],
        missing: [],
        refused: undefined,
        exposed: [],
      });
      await withConnection(pool, async (client) => {
        await ensurePartitions(client, { table: { schema: 'archive', name: 'audit_logs' }, monthsAhead: 9 });
      });
    } finally {
      await pool.end();
    }
  });
});
