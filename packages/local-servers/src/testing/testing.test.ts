import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { withClient, withDatabase } from '../postgres/databases.ts';
import { connectOnce } from '../redis/start-redis.ts';
import { runOf, servePostgres, sharedPostgres, takeTurn } from './shared-by-run.ts';
import { ensureTemplate } from './template-database.ts';
import { usePostgres } from './use-postgres.ts';
import { leaseRedis, useRedis } from './use-redis.ts';

async function runFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'spillway-tests-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function redisDo<T>(url: string, use: (redis: ReturnType<typeof connectOnce>) => Promise<T>): Promise<T> {
  const { hostname, port } = new URL(url);
  const redis = connectOnce(hostname, Number(port));
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

async function template(name: string, fill: (url: string) => Promise<void>): Promise<string> {
  const run = inject('spillwayRun');
  return ensureTemplate(await sharedPostgres(run), runOf(run), name, fill);
}

describe('the Postgres of a run', () => {
  test('is started once, when the first file asks, and stopped with the run', async () => {
    const folder = await runFolder();
    const calls: string[] = [];
    const shared = servePostgres(folder, async () => {
      calls.push('start');
      return { url: 'postgres://127.0.0.1/none', stop: async () => void calls.push('stop') };
    });
    onTestFinished(() => shared.close());
    const urls = await Promise.all(Array.from({ length: 4 }, () => sharedPostgres(folder)));
    expect(new Set(urls)).toEqual(new Set(['postgres://127.0.0.1/none']));
    await shared.close();
    expect(calls).toEqual(['start', 'stop']);
  });

  test('is not started by a run in which no file asks', async () => {
    const started: string[] = [];
    const shared = servePostgres(await runFolder(), async () => {
      started.push('start');
      return { url: '', stop: async () => {} };
    });
    await shared.close();
    expect(started).toEqual([]);
  });

  test('that does not start fails each file that asks, with the reason', async () => {
    const folder = await runFolder();
    const shared = servePostgres(folder, async () => {
      throw new Error('initdb failed');
    });
    onTestFinished(() => shared.close());
    await expect(sharedPostgres(folder)).rejects.toThrow('no Postgres for this test file: initdb failed');
    await expect(sharedPostgres(folder)).rejects.toThrow('initdb failed');
  });

  test('loses its template databases when the code that made them may have changed', async () => {
    const [folder, url] = [await runFolder(), await sharedPostgres(inject('spillwayRun'))];
    const shared = servePostgres(folder, async () => ({ url, stop: async () => {} }));
    onTestFinished(() => shared.close());
    const changing = await ensureTemplate(await sharedPostgres(folder), runOf(folder), 'changing', async () => {});
    await shared.forgetTemplates();
    const left = await withClient(withDatabase(url, 'postgres'), (client) =>
      client.query('SELECT 1 FROM pg_database WHERE datname = $1', [changing]),
    );
    expect(left.rowCount).toBe(0);
  });
});

describe('a template database', () => {
  test('is made once when several files ask for it at the same time', async () => {
    let made = 0;
    const names = await Promise.all(
      Array.from({ length: 4 }, () =>
        template('shared', async () => {
          made += 1;
        }),
      ),
    );
    expect(made).toBe(1);
    expect(new Set(names).size).toBe(1);
  });

  test('is made again after an attempt that failed half-way', async () => {
    const broken = template('fragile', async () => {
      throw new Error('half-way');
    });
    await expect(broken).rejects.toThrow('half-way');
    const name = await template('fragile', async (url) => {
      await withClient(url, (client) => client.query('CREATE TABLE done ()'));
    });
    expect(name).toContain('fragile');
  });
});

test('a Redis belongs to one file until it is given back, and comes to the next one empty', async () => {
  const run = inject('spillwayRun');
  const [first, second] = [await leaseRedis(run), await leaseRedis(run)];
  expect(second.url).not.toBe(first.url);
  await redisDo(first.url, (redis) => redis.set('left', 'over'));
  await first.release();
  const third = await leaseRedis(run);
  expect(await redisDo(third.url, (redis) => redis.dbsize())).toBe(0);
  expect(third.url).not.toBe(second.url);
  await Promise.all([second.release(), third.release()]);
});

test('a Redis that no longer answers is not lent again', async () => {
  const run = inject('spillwayRun');
  const broken = await leaseRedis(run);
  await redisDo(broken.url, (redis) => redis.shutdown('NOSAVE').catch(() => {}));
  await broken.release();
  const next = await leaseRedis(run);
  expect(next.url).not.toBe(broken.url);
  expect(await redisDo(next.url, (redis) => redis.ping())).toBe('PONG');
  await next.release();
});

test('a turn belongs to one at a time, and one that is not ended fails the others at the deadline', async () => {
  const folder = await runFolder();
  let inside = 0;
  const most = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const end = await takeTurn(folder, 'compiler');
      inside += 1;
      const seen = inside;
      await new Promise(setImmediate);
      inside -= 1;
      await end();
      return seen;
    }),
  );
  expect(most).toEqual(Array.from({ length: 20 }, () => 1));
  await takeTurn(folder, 'compiler');
  await expect(takeTurn(folder, 'compiler', 20)).rejects.toThrow(/compiler\.turn is there after 20 ms/u);
  await (
    await takeTurn(folder, 'redis')
  )();
});

let migrations = 0;
async function migrate(url: string): Promise<void> {
  migrations += 1;
  await withClient(url, (client) => client.query('CREATE TABLE thing (id int PRIMARY KEY)'));
}

describe('a database for each test', () => {
  const postgres = usePostgres({ migrate, scope: 'test' });

  test.each([[1], [2]])('is migrated and empty, round %i', async () => {
    expect((await postgres.pool.query('SELECT * FROM thing')).rowCount).toBe(0);
    await postgres.pool.query('INSERT INTO thing VALUES (1)');
    expect(migrations).toBe(1);
  });

  test('can have another one beside it', async () => {
    await postgres.pool.query('INSERT INTO thing VALUES (1)');
    const other = await postgres.createDatabase();
    expect(other).not.toBe(postgres.url);
    expect(await withClient(other, async (client) => (await client.query('SELECT * FROM thing')).rowCount)).toBe(0);
  });
});

describe('a database for the file', () => {
  const postgres = usePostgres();

  test('is empty at first', async () => {
    const { rowCount } = await postgres.pool.query('CREATE TABLE mine AS SELECT 1');
    expect(rowCount).toBe(1);
  });

  test('is the same in the next test', async () => {
    expect((await postgres.pool.query('SELECT * FROM mine')).rowCount).toBe(1);
  });
});

test('a template name must be fit for a database name', () => {
  expect(() => usePostgres({ template: 'no spaces' })).toThrow(/template must be .* got "no spaces"/);
});

const redis = useRedis();

test('gives an empty Redis', async () => {
  expect(await redis.client.dbsize()).toBe(0);
  await redis.client.set('left', 'over');
  expect(new URL(redis.url).port).toBe(String(redis.port));
});

test('gives an empty Redis to the next test as well', async () => {
  expect(await redis.client.dbsize()).toBe(0);
});

test('makes more clients of the same Redis', async () => {
  const other = redis.connect({ db: 1 });
  await other.set('key', 'value');
  await redis.client.select(1);
  expect(await redis.client.get('key')).toBe('value');
  await redis.client.select(0);
});
