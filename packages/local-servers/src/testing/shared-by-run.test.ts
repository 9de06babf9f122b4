import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { withClient, withDatabase } from '../postgres/databases.ts';
import { connectOnce } from '../redis/start-redis.ts';
import { runOf, servePostgres, sharedPostgres, takeTurn } from './shared-by-run.ts';
import { ensureTemplate } from './template-database.ts';
import { leaseRedis } from './use-redis.ts';

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

async function template(name: string, migrate: (url: string) => Promise<void>): Promise<string> {
  const run = inject('spillwayRun');
  return ensureTemplate(await sharedPostgres(run), runOf(run), name, migrate);
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
