import { randomUUID } from 'node:crypto';
import { createPool, migrate, type Queryable, upsertBlocks } from '@spillway/db';
import { type ReplicatedPostgres, startReplicatedPostgres } from '@spillway/local-servers/testing';
import { createLimiter, memoryStore, tiers } from '@spillway/limiter';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createApp } from '../app.ts';
import { snapshotReader } from '../dashboard/snapshot.ts';
import { bearer, fixedKeys, memoryLog } from '../../test/use-api.ts';

type Pool = ReturnType<typeof createPool>;

let servers: ReplicatedPostgres;
let primary: Pool;
let replica: Pool;
const open = (connectionString: string): Pool => createPool({ connectionString, onError: () => undefined });

beforeAll(async () => {
  servers = await startReplicatedPostgres();
  await migrate({ connectionString: servers.primary.url });
  [primary, replica] = [open(servers.primary.url), open(servers.replica.url)];
});
afterAll(async () => {
  await Promise.all([primary.end(), replica.end()]);
  await servers.stop();
});

const parts = {
  limiter: createLimiter({ store: memoryStore(), policies: tiers }),
  checks: { redis: async () => undefined, postgres: async () => undefined },
  logger: memoryLog().logger,
  authenticator: fixedKeys,
};

async function block(identifier: string): Promise<void> {
  const [now, counted] = [Date.now(), { limitCount: 5, windowMs: 60_000, requestCount: 5, deniedCount: 1 }];
  const times = { windowStartMs: now, lastRequestAtMs: now, createdAtMs: now, updatedAtMs: now };
  const outbox = { outboxShard: 0, outboxEpoch: 1, outboxSeq: 1 };
  const who = { id: randomUUID(), key: 'k', tier: 'auth', action: 'default', identifier };
  await upsertBlocks(primary, [
    { ...who, ...counted, ...times, ...outbox, blockedUntilMs: now + 60_000, mode: 'enforce' },
  ]);
}

const snapshot = async (db: Queryable) => snapshotReader({ db, logger: memoryLog().logger, tiers: [] }).common('15m');

it('lists are read from the replica, and say how far it is behind', async () => {
  const app = createApp({ ...parts, db: primary, reads: replica });
  const list = async (): Promise<{ behind: string | null; who: unknown[] }> => {
    const answer = await app.request('/v1/audit/blocks', { headers: bearer('read') });
    const { rows } = (await answer.json()) as { rows: { identifier: string }[] };
    return { behind: answer.headers.get('Spillway-Behind-Ms'), who: rows.map(({ identifier }) => identifier) };
  };
  await block('ada');
  await expect.poll(list).toEqual({ behind: '0', who: ['ada'] });

  await replica.query('SELECT pg_wal_replay_pause()');
  await block('bob');
  await expect.poll(async () => Number((await list()).behind)).toBeGreaterThan(0);
  expect((await list()).who).toEqual(['ada']);
  expect((await snapshot(replica)).behindMs).toBeGreaterThan(0);
  expect((await snapshot(primary)).behindMs).toBeNull();

  await replica.query('SELECT pg_wal_replay_resume()');
  await expect.poll(list).toEqual({ behind: '0', who: ['bob', 'ada'] });
});

it('a list whose age cannot be told is an answer all the same', async () => {
  const unasked: Queryable = {
    query: async (statement, values) => {
      const text = typeof statement === 'string' ? statement : statement.text;
      if (text.includes('pg_is_in_recovery')) throw new Error('permission denied');
      return replica.query(statement, values);
    },
  };
  const app = createApp({ ...parts, db: primary, reads: unasked });
  const answer = await app.request('/v1/audit/blocks', { headers: bearer('read') });
  expect([answer.status, answer.headers.get('Spillway-Behind-Ms')]).toEqual([200, 'unknown']);
});
