import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withClient, withDatabase } from '../postgres/databases.ts';
import { connectOnce } from '../redis/redis-probe.ts';
import { leaseServerFrom } from './lease-server.ts';
import { type Broker, openBroker } from './broker.ts';
import { ensureTemplate } from './template-database.ts';

async function redisDo<T>(url: string, use: (redis: ReturnType<typeof connectOnce>) => Promise<T>): Promise<T> {
  const { hostname, port } = new URL(url);
  const redis = connectOnce(hostname, Number(port));
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

describe('the broker', () => {
  let broker: Broker;
  beforeAll(async () => {
    broker = await openBroker();
  });
  afterAll(async () => {
    await broker?.close();
  });

  test('gives a Redis to one file at a time, and the next file gets the same one emptied', async () => {
    const first = await leaseServerFrom(broker.address, 'redis');
    const second = await leaseServerFrom(broker.address, 'redis');
    expect(second.url).not.toBe(first.url);
    await redisDo(first.url, (redis) => redis.set('left', 'over'));
    await first.release();
    await expect.poll(() => redisDo(first.url, (redis) => redis.dbsize())).toBe(0);
    await second.release();
    // Whichever comes back first is lent first.
    await expect
      .poll(async () => {
        const again = await leaseServerFrom(broker.address, 'redis');
        await again.release();
        return [first.url, second.url].includes(again.url);
      })
      .toBe(true);
  });

  test('shares one Postgres, in which a template is made once however many ask', async () => {
    const leases = await Promise.all(Array.from({ length: 4 }, () => leaseServerFrom(broker.address, 'postgres')));
    expect(new Set(leases.map(({ url }) => url)).size).toBe(1);
    let made = 0;
    const names = await Promise.all(
      leases.map(({ url, run }) =>
        ensureTemplate(url, run, 'shared', async () => {
          made += 1;
        }),
      ),
    );
    expect(made).toBe(1);
    expect(new Set(names).size).toBe(1);
    await Promise.all(leases.map((lease) => lease.release()));
  });

  test('creates a template again after one that failed half-way', async () => {
    const lease = await leaseServerFrom(broker.address, 'postgres');
    const broken = ensureTemplate(lease.url, lease.run, 'fragile', async () => {
      throw new Error('half-way');
    });
    await expect(broken).rejects.toThrow('half-way');
    const name = await ensureTemplate(lease.url, lease.run, 'fragile', async (url) => {
      await withClient(url, (client) => client.query('CREATE TABLE done ()'));
    });
    expect(name).toContain('fragile');
    await lease.release();
  });

  test('forgets templates when the code may have changed', async () => {
    const before = await leaseServerFrom(broker.address, 'postgres');
    const template = await ensureTemplate(before.url, before.run, 'changing', async () => {});
    await broker.reset();
    const after = await leaseServerFrom(broker.address, 'postgres');
    expect(after.run).not.toBe(before.run);
    const left = await withClient(withDatabase(after.url, 'postgres'), (client) =>
      client.query('SELECT 1 FROM pg_database WHERE datname = $1', [template]),
    );
    expect(left.rowCount).toBe(0);
  });

  test('says why there is no server, and goes on serving', async () => {
    await expect(leaseServerFrom(broker.address, JSON.parse('"mysql"'))).rejects.toThrow(/not a request/);
    const lease = await leaseServerFrom(broker.address, 'postgres');
    await lease.release();
  });
});
