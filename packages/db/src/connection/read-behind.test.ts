import { type ReplicatedPostgres, startReplicatedPostgres } from '@spillway/local-servers/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Pool } from 'pg';
import { migrate } from '../migrate/migrate.ts';
import { listBlocks } from '../trail/blocks.ts';
import { createPool } from './create-pool.ts';
import { readBehindMs } from './connection.ts';

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

it('a server that takes writes is not behind anybody', async () => {
  expect(await readBehindMs(primary)).toBeNull();
});

it('a replica that has all is 0 ms behind, and its lists can be read', async () => {
  await expect.poll(async () => readBehindMs(replica)).toBe(0);
  await expect.poll(async () => (await listBlocks(replica, {})).rows).toEqual([]);
});

it('one whose primary is gone says how old its data are', async () => {
  await replica.query('SELECT pg_wal_replay_pause()');
  await primary.query('CREATE TABLE written_later (id int)');
  await expect.poll(async () => readBehindMs(replica)).toBeGreaterThan(0);
  await replica.query('SELECT pg_wal_replay_resume()');
  await expect.poll(async () => readBehindMs(replica)).toBe(0);
  await servers.primary.kill();
  await expect.poll(async () => readBehindMs(replica)).toBeGreaterThan(0);
});
