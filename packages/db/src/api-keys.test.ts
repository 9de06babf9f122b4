import { createHash, randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { useDatabase } from '../test/use-database.ts';
import {
  activeApiKeys,
  apiKeysVersion,
  insertApiKey,
  listApiKeys,
  type NewApiKey,
  revokeApiKey,
  rotateApiKey,
  touchApiKeys,
} from './api-keys.ts';

const database = useDatabase();

const hash = (secret: string): Buffer => createHash('sha256').update(secret).digest();
const key = (overrides: Partial<NewApiKey> = {}): NewApiKey => ({
  id: randomUUID(),
  name: 'gateway',
  scopes: ['decide'],
  secretHash: hash('one'),
  ...overrides,
});

const activeIds = async (): Promise<string[]> => (await activeApiKeys(database.pool)).map(({ id }) => id);

test('a key can be used until it is revoked, and the list keeps it', async () => {
  const { id } = await insertApiKey(database.pool, key());
  expect(await activeApiKeys(database.pool)).toEqual([
    { id, name: 'gateway', scopes: ['decide'], secretHash: hash('one'), expiresInMs: null },
  ]);
  expect(await revokeApiKey(database.pool, id)).toBe(true);
  expect(await activeIds()).toEqual([]);
  const [row] = (await listApiKeys(database.pool, { active: false })).rows;
  expect(row).toMatchObject({ id, revokedAtMs: expect.any(Number) });
  expect(row).not.toHaveProperty('secretHash');

  await revokeApiKey(database.pool, id);
  expect((await listApiKeys(database.pool)).rows[0]?.revokedAtMs).toBe(row?.revokedAtMs);
  expect(await revokeApiKey(database.pool, randomUUID())).toBe(false);
});

test('an expired key cannot be used', async () => {
  await insertApiKey(database.pool, key({ expiresInMs: -1 }));
  const { id } = await insertApiKey(database.pool, key({ expiresInMs: 60_000 }));
  expect(await activeIds()).toEqual([id]);
  expect((await activeApiKeys(database.pool))[0]?.expiresInMs).toBeGreaterThan(50_000);
  expect((await listApiKeys(database.pool, { active: true })).rows.map((row) => row.id)).toEqual([id]);
});

const next = (): { id: string; secretHash: Buffer } => ({ id: randomUUID(), secretHash: hash('two') });

describe('rotateApiKey', () => {
  test('makes a second key that is valid beside the first until its grace is over', async () => {
    const { id } = await insertApiKey(database.pool, key({ scopes: ['read', 'decide'] }));
    const made = await rotateApiKey(database.pool, { replaces: id, ...next(), graceMs: 60_000 });
    expect(made).toMatchObject({ name: 'gateway', scopes: ['read', 'decide'], replaces: id, expiresAtMs: null });
    expect((await activeIds()).toSorted()).toEqual([id, made?.id ?? ''].toSorted());
    const old = (await activeApiKeys(database.pool)).find((row) => row.id === id);
    expect(old?.expiresInMs).toBeLessThanOrEqual(60_000);
  });

  test('never lengthens the life of the old key, and gives the new one the life that the old one had', async () => {
    const { id } = await insertApiKey(database.pool, key({ expiresInMs: 1_000 }));
    const made = await rotateApiKey(database.pool, { replaces: id, ...next(), graceMs: 60_000 });
    const keys = await activeApiKeys(database.pool);
    for (const one of [id, made?.id]) {
      expect(keys.find((row) => row.id === one)?.expiresInMs).toBeLessThanOrEqual(1_000);
    }
  });

  test('does nothing for a key that is revoked, expired or unknown', async () => {
    const { id: revoked } = await insertApiKey(database.pool, key());
    await revokeApiKey(database.pool, revoked);
    const { id: expired } = await insertApiKey(database.pool, key({ expiresInMs: -1 }));
    for (const replaces of [revoked, expired, randomUUID()]) {
      expect(await rotateApiKey(database.pool, { replaces, ...next(), graceMs: 1 })).toBeUndefined();
    }
    expect((await listApiKeys(database.pool)).rows).toHaveLength(2);
  });
});

test('the version changes with every change to a usable key, also one by hand, and not with its use', async () => {
  const versions = [await apiKeysVersion(database.pool)];
  const step = async (change: () => Promise<unknown>): Promise<void> => {
    await change();
    versions.push(await apiKeysVersion(database.pool));
  };
  const { id } = await insertApiKey(database.pool, key());
  versions.push(await apiKeysVersion(database.pool));
  await step(() => insertApiKey(database.pool, key()));
  await step(() => database.pool.query(`UPDATE spillway.api_keys SET scopes = '{read}' WHERE id = $1`, [id]));
  await step(() => revokeApiKey(database.pool, id));
  expect(new Set(versions).size).toBe(versions.length);

  const before = await apiKeysVersion(database.pool);
  const [other] = await activeIds();
  await touchApiKeys(database.pool, [other ?? '']);
  expect(await apiKeysVersion(database.pool)).toBe(before);
});

test('use is noted coarsely: a second time within half a minute writes nothing', async () => {
  const { id } = await insertApiKey(database.pool, key());
  await touchApiKeys(database.pool, [id, randomUUID()]);
  const [first] = (await listApiKeys(database.pool)).rows;
  expect(first?.lastUsedAtMs).toEqual(expect.any(Number));
  await touchApiKeys(database.pool, [id]);
  expect((await listApiKeys(database.pool)).rows[0]?.lastUsedAtMs).toBe(first?.lastUsedAtMs);
  await database.pool.query(`UPDATE spillway.api_keys SET last_used_at = now() - interval '1 hour'`);
  await touchApiKeys(database.pool, [id]);
  expect((await listApiKeys(database.pool)).rows[0]?.lastUsedAtMs).toBeGreaterThan(Date.now() - 600_000);
});

test.each([
  ['a hash that is no SHA-256', { secretHash: Buffer.from('short') }],
  ['no scope', { scopes: [] }],
])('the table refuses %s', async (_, overrides) => {
  await expect(insertApiKey(database.pool, key(overrides))).rejects.toMatchObject({ code: '23514' });
});
