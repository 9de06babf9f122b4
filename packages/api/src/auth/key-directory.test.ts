import { createApiKey, generateKey, type Queryable, revokeApiKey } from '@spillway/db';
import { afterEach, describe, expect, it } from 'vitest';
import { useApi, memoryLog } from '../../test/use-api.ts';
import { type KeyDirectory, keyDirectory, type KeyDirectoryOptions } from './key-directory.ts';

const api = useApi();

const directories = new Set<KeyDirectory>();
afterEach(async () => {
  for (const directory of directories) await directory.close();
  directories.clear();
});

function open(options: Partial<KeyDirectoryOptions> = {}): KeyDirectory {
  const directory = keyDirectory({ db: api.pool, logger: memoryLog().logger, ...options });
  directories.add(directory);
  return directory;
}

const decide = { name: 'gateway', scopes: ['decide'] } as const;
const soon = { timeout: 15_000 };

const gone = async (): Promise<() => void> => {
  await api.pool.query('ALTER TABLE spillway.api_keys RENAME TO hidden');
  return () => undefined;
};
const silent = async (): Promise<() => void> => {
  const holder = await api.pool.connect();
  await holder.query('BEGIN');
  await holder.query('LOCK TABLE spillway.api_keys IN ACCESS EXCLUSIVE MODE');
  return () => holder.release(true);
};
function countedDb(): { db: Queryable; asked: () => number } {
  let asked = 0;
  const query = async (...args: Parameters<Queryable['query']>) => {
    asked += 1;
    return api.pool.query(...args);
  };
  return { db: { query } as Queryable, asked: () => asked };
}

describe('keyDirectory', () => {
  it('knows a key by its secret, all of it', async () => {
    const { key, row } = await createApiKey(api.pool, decide);
    const keys = open();
    expect(await keys.verify(key)).toEqual({
      kind: 'known',
      principal: { id: row.id, kind: 'api-key', scopes: ['decide'] },
    });
    const other = await createApiKey(api.pool, decide);
    const swapped = `${key.slice(0, -43)}${other.key.slice(-43)}`;
    for (const wrong of [swapped, key.slice(0, -1), `${key}A`, key.toUpperCase(), '', 'sw_']) {
      expect(await keys.verify(wrong)).toEqual({ kind: 'unknown' });
    }
  });

  it('learns of keys made and revoked by others, by itself', async () => {
    const keys = open({ refreshMs: 10 });
    const first = await createApiKey(api.pool, decide);
    await expect.poll(() => keys.verify(first.key)).toMatchObject({ kind: 'known' });
    const { key, row } = await createApiKey(api.pool, decide);
    await expect.poll(() => keys.verify(key)).toMatchObject({ kind: 'known' });
    await revokeApiKey(api.pool, row.id);
    await expect.poll(() => keys.verify(key)).toEqual({ kind: 'unknown' });
  });

  it('looks for changes twice a second while keys are used, unless told otherwise, so that a revocation holds within one', async () => {
    const { key } = await createApiKey(api.pool, decide);
    const { db, asked } = countedDb();
    await open({ db }).verify(key);
    await expect.poll(asked, { timeout: 15_000, interval: 10 }).toBeGreaterThanOrEqual(6);
  });

  it('looks seldom while no key is used, and the first use after that sees what was revoked and made meanwhile', async () => {
    const { key, row } = await createApiKey(api.pool, decide);
    const { db, asked } = countedDb();
    const keys = open({ db, refreshMs: 20, idleMs: 0 });
    expect(await keys.verify(key)).toMatchObject({ kind: 'known' });
    const before = asked();
    let ticks = 0;
    const clock = setInterval(() => (ticks += 1), 20);
    await expect.poll(() => ticks, soon).toBeGreaterThan(30);
    clearInterval(clock);
    expect(asked() - before).toBeLessThan(ticks / 4);
    await revokeApiKey(api.pool, row.id);
    const made = await createApiKey(api.pool, decide);
    expect(await keys.verify(key)).toEqual({ kind: 'unknown' });
    expect(await keys.verify(made.key)).toMatchObject({ kind: 'known' });
  });

  it('lets a key end when its time is over, without a look into Postgres', async () => {
    const { key } = await createApiKey(api.pool, { ...decide, expiresInMs: 300 });
    const keys = open({ refreshMs: 3_600_000 });
    expect(await keys.verify(key)).toMatchObject({ kind: 'known' });
    await expect.poll(() => keys.verify(key)).toEqual({ kind: 'unknown' });
  });

  it('goes on with the keys that it knows while Postgres is away, for so long and no longer', async () => {
    const { key } = await createApiKey(api.pool, decide);
    let away = false;
    const db: Queryable = {
      query: async (...args: Parameters<Queryable['query']>) => {
        if (away) throw new Error('connect ECONNREFUSED');
        return api.pool.query(...args);
      },
    } as Queryable;
    const keys = open({ db, refreshMs: 10, staleMs: 300 });
    await keys.verify(key);
    away = true;
    expect(await keys.verify(key)).toMatchObject({ kind: 'known' });
    await expect.poll(() => keys.verify(key)).toEqual({ kind: 'unavailable' });
    away = false;
    await expect.poll(() => keys.verify(key)).toMatchObject({ kind: 'known' });
  });

  it('says once per outage that keys cannot be read, and how old what it knows is', async () => {
    const { key } = await createApiKey(api.pool, decide);
    let away = true;
    let asked = 0;
    const db: Queryable = {
      query: async (...args: Parameters<Queryable['query']>) => {
        asked += 1;
        if (away) throw new Error('connect ECONNREFUSED');
        return api.pool.query(...args);
      },
    } as Queryable;
    const log = memoryLog('info');
    const keys = open({ db, logger: log.logger, refreshMs: 5 });
    expect(keys.ageMs()).toBe(Number.POSITIVE_INFINITY);
    await expect.poll(() => asked, soon).toBeGreaterThan(5);
    const said = (): unknown[] => log.lines().map(({ level, msg }) => [level, msg]);
    const begins = [40, 'api: keys could not be read; the last known ones hold for staleMs'];
    const ends = [30, 'api: keys can be read again'];
    expect(said()).toEqual([begins]);
    away = false;
    await expect.poll(() => keys.verify(key), soon).toMatchObject({ kind: 'known' });
    expect(said()).toEqual([begins, ends]);
    expect(keys.ageMs()).toBeLessThan(60_000);
    away = true;
    await expect.poll(said, soon).toEqual([begins, ends, begins]);
  });

  it.each([
    ['has no answer but an error', gone],
    ['is silent', silent],
  ])(
    'while Postgres %s, a key that it never saw is not called invalid, and a known one with another secret is',
    async (_, go) => {
      const known = await createApiKey(api.pool, decide);
      const keys = open({ refreshMs: 20 });
      expect(await keys.verify(known.key)).toMatchObject({ kind: 'known' });
      const end = await go();
      try {
        const { key: never } = generateKey();
        await expect.poll(() => keys.verify(never), soon).toEqual({ kind: 'unavailable' });
        expect(await keys.verify(`${known.key.slice(0, -43)}${never.slice(-43)}`)).toEqual({ kind: 'unknown' });
        expect(await keys.verify(known.key)).toMatchObject({ kind: 'known' });
      } finally {
        end();
      }
    },
  );

  it('gives up a look without an answer, and finds a new key once Postgres answers again', async () => {
    const log = memoryLog('info');
    const keys = open({ refreshMs: 20, logger: log.logger });
    await keys.refresh();
    const holder = await api.pool.connect();
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE spillway.api_keys IN ACCESS EXCLUSIVE MODE');
    await expect.poll(() => log.text(), soon).toContain('keys could not be read');
    const { key } = await createApiKey(holder, decide);
    expect(await keys.verify(key)).toEqual({ kind: 'unavailable' });
    await holder.query('COMMIT');
    holder.release();
    await expect.poll(() => keys.verify(key), soon).toMatchObject({ kind: 'known' });
  });

  it('says that it can not know when it never reached Postgres', async () => {
    const { key } = await createApiKey(api.pool, decide);
    const db: Queryable = { query: () => Promise.reject(new Error('connect ECONNREFUSED')) };
    expect(await open({ db }).verify(key)).toEqual({ kind: 'unavailable' });
  });

  it('asks Postgres nothing for keys that were made up', async () => {
    const keys = open({ refreshMs: 3_600_000 });
    const { key } = await createApiKey(api.pool, decide);
    await keys.verify(key);
    await api.pool.query('DROP TABLE spillway.api_keys CASCADE');
    expect(await keys.verify(key.replace(/[\da-f]{32}/, '0'.repeat(32)))).toEqual({ kind: 'unknown' });
    expect(await keys.verify(key)).toMatchObject({ kind: 'known' });
  });

  it('notes at its end which keys were used', async () => {
    const used = await createApiKey(api.pool, decide);
    await createApiKey(api.pool, { ...decide, name: 'idle' });
    const keys = open();
    await keys.verify(used.key);
    await keys.close();
    const { rows } = await api.pool.query('SELECT name FROM spillway.api_keys WHERE last_used_at IS NOT NULL');
    expect(rows).toEqual([{ name: 'gateway' }]);
  });
});
