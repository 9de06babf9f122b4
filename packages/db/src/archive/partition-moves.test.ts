import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { compiled } from '@spillway/local-servers/testing';
import type { PoolClient } from 'pg';
import { describe, expect, test, vi } from 'vitest';
import { cutoff, orders, partitionedOrders } from '../../test/orders.ts';
import { useDatabase } from '../../test/use-database.ts';
import { archiveRows } from './archive-rows.ts';
import { type Connection, withConnection, createPool } from '../connection.ts';

const fixture = await compiled(new URL('../../test/archive-orders.fixture.ts', import.meta.url));
const database = useDatabase();
const { archive, census, createOrders, partitionsOf, query, run } = partitionedOrders(database);

/** Everything that is old has moved, and nothing else has; nothing is on its way. */
async function expectWhole(before: unknown): Promise<void> {
  expect(await census()).toEqual(before);
  expect(await query('SELECT count(*)::int AS n FROM cold.orders')).toEqual([{ n: 2_184 }]);
  expect(await query('SELECT partition_name FROM spillway.partition_moves')).toEqual([]);
  expect(await partitionsOf('orders')).toEqual(['public.orders_2025_12']);
  expect(
    await query(`SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'orders%' AND NOT relispartition`),
  ).toEqual([]);
}

async function start(): Promise<{ child: ChildProcess; kill: () => Promise<void> }> {
  const child = spawn(process.execPath, [fixture, database.url], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [pid] = await once(createInterface({ input: child.stdout }), 'line');
  // Postgres notices a lost client late; a lost host or a restart ends its statement too.
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await query(`SELECT pg_terminate_backend(${Number(pid)}, 10000)`);
  };
  return { child, kill };
}
const pending = async (): Promise<unknown[]> =>
  query(`SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhdetachpending`);

/** Archives on a connection that is ended before its n-th statement; whether it came to its end. */
const archiveUntil = async (dying: number): Promise<boolean> => {
  let statements = 0;
  const mortal = (client: PoolClient): Connection => ({
    escapeIdentifier: (name) => client.escapeIdentifier(name),
    query: async (text, values) => {
      statements += 1;
      if (statements === dying) {
        await database.pool.query('SELECT pg_terminate_backend($1, 10000)', [Reflect.get(client, 'processID')]);
      }
      return client.query(text, values);
    },
  });
  const work = withConnection(database.pool, async (client) => {
    const connection = mortal(client);
    const record = async (rows: number): Promise<void> =>
      void (await connection.query('INSERT INTO recorded VALUES ($1)', [rows]));
    await archiveRows(connection, orders, { cutoff, record });
  });
  return work.then(
    () => true,
    () => false,
  );
};

describe('a process that is killed', () => {
  test('in the middle of DETACH CONCURRENTLY is followed by one that finalizes it', async () => {
    await createOrders();
    const before = await census();
    await withConnection(database.pool, async (reader) => {
      await reader.query('BEGIN; SELECT FROM orders');
      const { kill } = await start();
      await vi.waitUntil(async () => (await pending()).length > 0);
      await kill();
      await reader.query('COMMIT');
    });
    expect(await pending()).toEqual([{ name: 'orders_2025_09' }]);
    expect(await archive({ dryRun: true })).toMatchObject({
      warnings: ['public.orders_2025_09 is left for the next run: an earlier run was interrupted'],
      complete: false,
    });
    expect(await archive()).toMatchObject({ moved: 2_184, complete: true, warnings: [] });
    await expectWhole(before);
  });

  test('between DETACH and ATTACH is followed by one that attaches', async () => {
    await createOrders();
    const before = await census();
    await withConnection(database.pool, async (reader) => {
      await reader.query('BEGIN; SELECT FROM orders');
      const { kill } = await start();
      await vi.waitUntil(async () => (await pending()).length > 0);
      await withConnection(database.pool, async (blocker) => {
        await blocker.query('BEGIN; LOCK TABLE cold.orders IN SHARE UPDATE EXCLUSIVE MODE');
        await reader.query('COMMIT');
        await vi.waitUntil(async () => (await partitionsOf('orders')).length === 3 && (await pending()).length === 0);
        await kill();
        await blocker.query('COMMIT');
      });
    });
    expect(await query(`SELECT partition_name AS name, bound FROM spillway.partition_moves`)).toEqual([
      { name: 'orders_2025_09', bound: `FOR VALUES FROM ('2025-09-01 00:00:00+00') TO ('2025-10-01 00:00:00+00')` },
    ]);
    expect(await query(`SELECT count(*)::int AS n FROM orders_2025_09`)).toEqual([{ n: 720 }]);
    expect(await archive()).toMatchObject({ moved: 2_184, complete: true, warnings: [] });
    await expectWhole(before);
  });
});

test('whatever statement a process dies at, the next one goes on, and no row is lost or counted twice', async () => {
  const clear = 'DROP TABLE IF EXISTS orders, recorded; DROP SCHEMA IF EXISTS cold CASCADE';
  let done = false;
  let deaths = 0;
  for (let dying = 1; !done; dying += 1) {
    await run(clear);
    await createOrders({ unit: 'quarter' });
    await run('CREATE TABLE recorded (rows int)');
    const before = await census();
    done = await archiveUntil(dying);
    if (!done) expect(await archiveUntil(0)).toBe(true);
    deaths = dying;
    expect(await census(), `died at statement ${dying}`).toEqual(before);
    expect(await query('SELECT sum(rows)::int AS n FROM recorded'), `died at statement ${dying}`).toEqual([{ n: 720 }]);
    expect(await query('SELECT partition_name FROM spillway.partition_moves')).toEqual([]);
  }
  expect(deaths).toBeGreaterThan(40);
}, 180_000);

describe('while others work', () => {
  test('an open SELECT holds up the partition but no insert, and the next run finishes', async () => {
    await createOrders();
    const before = await census();
    const hasty = createPool({ connectionString: database.url, onError: () => {}, statementTimeoutMs: 300 });
    await withConnection(database.pool, async (reader) => {
      await reader.query('BEGIN; SELECT FROM orders');
      const archiving = withConnection(hasty, async (connection) => archiveRows(connection, orders, { cutoff }));
      await run(`INSERT INTO orders VALUES (-1, '2025-12-31 23:30+00'); DELETE FROM orders WHERE id = -1`);
      const report = await archiving;
      expect(report).toMatchObject({ moved: 0, complete: false });
      expect(report.warnings[0]).toContain('public.orders_2025_09 is left for the next run: detaching, canceling');
      await reader.query('COMMIT');
    });
    await hasty.end();
    expect(await archive()).toMatchObject({ moved: 2_184, complete: true });
    await expectWhole(before);
  });

  test('four at once move each partition once', async () => {
    await createOrders();
    const before = await census();
    const reports = await Promise.all([archive(), archive(), archive(), archive()]);
    const moved = reports.flatMap(({ partitionsMoved }) => partitionsMoved.map(({ rows }) => rows));
    expect(moved.toSorted((a, b) => a - b)).toEqual([720, 720, 744]);
    await archive();
    await expectWhole(before);
  });

  test('a partition that somebody else has half detached is left to him', async () => {
    await createOrders();
    const hasty = createPool({ connectionString: database.url, onError: () => {}, statementTimeoutMs: 300 });
    await withConnection(database.pool, async (reader) => {
      await reader.query('BEGIN; SELECT FROM orders');
      await expect(hasty.query('ALTER TABLE orders DETACH PARTITION orders_2025_09 CONCURRENTLY')).rejects.toThrow(
        'canceling',
      );
      await reader.query('COMMIT');
    });
    await hasty.end();
    const report = await archive({ timeBudgetMs: 1_000 });
    expect(report).toMatchObject({ moved: 0, complete: false });
    expect(report.warnings[0]).toContain('public.orders_2025_09 is left for the next run: it is half detached');
    expect(await query('SELECT partition_name FROM spillway.partition_moves')).toEqual([]);
  });

  test('a partition that is found not to fit after it was detached goes back, and its rows move one by one', async () => {
    await createOrders({ columns: 'seller int' });
    await run(`
      CREATE TABLE sellers (id int PRIMARY KEY); ALTER TABLE orders ADD FOREIGN KEY (seller) REFERENCES sellers;
      CREATE TABLE cold.orders_2025_09_pkey ()`);
    const before = await census();
    const report = await archive();
    expect(report).toMatchObject({ moved: 2_184, complete: true, partitionsCreated: ['orders_2025_09'] });
    expect(report.warnings[0]).toMatch(
      /rows of public.orders_2025_09 move one by one: .*"orders_2025_09_pkey" already exists/u,
    );
    expect(await census()).toEqual(before);
    expect(await partitionsOf('orders')).toEqual(['public.orders_2025_09', 'public.orders_2025_12']);
    expect(await query('SELECT partition_name FROM spillway.partition_moves')).toEqual([]);
    await expect(run(`INSERT INTO orders VALUES (-1, '2025-09-02 00:00+00', 'x', 5)`)).rejects.toThrow('foreign key');
  });

  test('one that fits neither the archive nor its table any more is named, and moves once it fits', async () => {
    await createOrders();
    const before = await census();
    await run(`
      ALTER TABLE orders DETACH PARTITION orders_2025_09;
      INSERT INTO spillway.partition_moves VALUES ('public', 'orders_2025_09', 'public', 'orders', 'cold', 'orders',
        'FOR VALUES FROM (''2025-09-01 00:00:00+00'') TO (''2025-10-01 00:00:00+00'')');
      CREATE TABLE cold.orders_2025_09_pkey ();
      CREATE TABLE other PARTITION OF orders FOR VALUES FROM ('2025-09-01 00:00+00') TO ('2025-10-01 00:00+00')`);
    await expect(archive()).rejects.toMatchObject({
      reason: 'detached',
      message: expect.stringMatching(
        /public.orders_2025_09 .* is detached, .*already exists.*would overlap partition "other"/u,
      ),
    });
    await run('DROP TABLE cold.orders_2025_09_pkey');
    expect(await archive()).toMatchObject({ moved: 2_184 });
    expect(await census()).toEqual(before);
  });

  test('a detached partition that somebody has dropped is forgotten', async () => {
    await createOrders();
    await run(`
      INSERT INTO spillway.partition_moves VALUES ('public', 'gone', 'public', 'orders', 'cold', 'orders', 'FOR VALUES FROM (MINVALUE) TO (''2000-01-01'')')`);
    expect(await archive()).toMatchObject({ moved: 2_184, complete: true });
    expect(await query('SELECT partition_name FROM spillway.partition_moves')).toEqual([]);
  });
});

describe('a user who is not the owner', () => {
  test('moves rows, through the grants and policies of the table alone, and is told whom to ask', async () => {
    await createOrders();
    await run(`
      CREATE ROLE orders_mover_${process.pid}; CREATE ROLE orders_owner_${process.pid};
      ALTER TABLE orders OWNER TO orders_owner_${process.pid}; ALTER TABLE cold.orders OWNER TO orders_mover_${process.pid};
      GRANT USAGE, CREATE ON SCHEMA cold TO orders_mover_${process.pid}; GRANT USAGE ON SCHEMA spillway TO orders_mover_${process.pid};
      GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA spillway TO orders_mover_${process.pid};
      GRANT SELECT, DELETE, UPDATE (id) ON orders TO orders_mover_${process.pid};
      ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON orders TO orders_mover_${process.pid} USING (true)`);
    const report = await archive({}, {}, `orders_mover_${process.pid}`);
    expect(report).toMatchObject({ moved: 2_400, partitionsMoved: [], complete: true });
    expect(report.warnings).toContain(
      `partitions of public.orders are orders_owner_${process.pid}'s: rows move one by one, and partitions stay, unless this user is a member of orders_owner_${process.pid}`,
    );
    await run(`DROP OWNED BY orders_mover_${process.pid}, orders_owner_${process.pid} CASCADE;
      DROP ROLE orders_mover_${process.pid}, orders_owner_${process.pid}`);
  });
});

test('keeps its own name where the name of its month is too long or taken', async () => {
  const long = 'o'.repeat(60);
  await createOrders({ name: long });
  await run(`ALTER TABLE cold.orders RENAME TO "${long}"; ALTER TABLE p_2025_09 RENAME TO "Sept'ember"`);
  const report = await archive(
    {},
    { source: { schema: 'public', name: long }, target: { schema: 'cold', name: long } },
  );
  expect(report.partitionsMoved.map(({ partition }) => partition)).toEqual([
    `cold.Sept'ember`,
    'cold.p_2025_10',
    'cold.p_2025_11',
  ]);
});
