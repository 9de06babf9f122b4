import { randomUUID } from 'node:crypto';
import { eq, gt } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { rateLimitsV2 } from '../schema/index.ts';
import { blockRow, noonMs, useDatabase } from '../../test/use-database.ts';
import { insertChange, listChanges } from '../trail/changes.ts';
import { listDeadLetters } from '../trail/dead-letters.ts';
import { listBlocks, upsertBlocks } from '../trail/event-rows.ts';
import { createApiKey, insertApiKey } from '../api-keys.ts';

const database = useDatabase();

async function withSettings<T>(options: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: database.url, options });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const precise = blockRow({ createdAtMs: noonMs + 0.456, updatedAtMs: noonMs + 0.001, blockedUntilMs: Infinity });

// Drizzle's own error repeats the statement's parameters: subjects in logs, and hashes of secrets.
test.each([
  ['23514', async () => createApiKey(database.pool, { name: 'no scopes', scopes: [] })],
  [
    '23505',
    async () => {
      const key = { id: randomUUID(), secretHash: Buffer.alloc(32, 7), name: 'twice', scopes: ['read'] } as const;
      await insertApiKey(database.pool, key);
      await insertApiKey(database.pool, key);
    },
  ],
  ['22021', async () => listDeadLetters(database.pool, { sourceJob: 'secret\0' })],
])("a failure is pg's own error, of SQLSTATE %s", async (code, work) => {
  const error: unknown = await work().catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code, severity: 'ERROR' });
  expect(String(error)).not.toContain('secret');
});

test('times keep their microseconds and their infinity, whatever the DateStyle, time zone and search_path', async () => {
  await upsertBlocks(database.pool, [precise]);
  for (const options of [
    '',
    '-c datestyle=German',
    '-c datestyle=SQL,DMY -c timezone=Asia/Kolkata',
    '-c search_path=pg_temp',
  ]) {
    const { rows } = await withSettings(options, async (client) => listBlocks(client));
    expect(rows).toEqual([precise]);
  }
});

test("an application's own drizzle queries read and compare the same times", async () => {
  await upsertBlocks(database.pool, [precise, blockRow({ blockedUntilMs: noonMs })]);
  for (const timezone of ['UTC', 'America/St_Johns', 'Asia/Kolkata']) {
    const rows = await withSettings(`-c timezone=${timezone}`, async (client) =>
      drizzle(client).select().from(rateLimitsV2).where(gt(rateLimitsV2.blockedUntilMs, noonMs)),
    );
    expect(rows).toEqual([precise]);
    const [found] = await withSettings(`-c timezone=${timezone}`, async (client) =>
      drizzle(client).select().from(rateLimitsV2).where(eq(rateLimitsV2.createdAtMs, precise.createdAtMs)),
    );
    expect(found).toEqual(precise);
  }
  await expect(
    withSettings('-c datestyle=German', async (client) => drizzle(client).select().from(rateLimitsV2)),
  ).rejects.toThrow('DateStyle');
});

test('a text within JSON is read as that text, and is not taken for JSON of its own', async () => {
  const change = { actor: 'cli:me', action: 'test', objectKind: 'policy', object: 'p' };
  for (const value of ['5', 'null', '{"a":1}', 'plain', 5, [1], { a: '7' }]) {
    await database.pool.query('TRUNCATE spillway.changes');
    await insertChange(database.pool, { ...change, before: value, after: null });
    expect((await listChanges(database.pool)).rows).toMatchObject([{ before: value, after: null, note: null }]);
  }
});
