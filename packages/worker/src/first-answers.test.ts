import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { createPool } from '@spillway/db';
import { findFreePort, startPgBouncer, startPostgres, startRedis, startRedisCluster } from '@spillway/local-servers';
import { compiled, startProgram, useRedis, workDirectoryRoot } from '@spillway/local-servers/testing';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { useMigratedPostgres } from '../test/helpers.ts';
import { firstAnswers, type ServerAddress } from './first-answers.ts';

/** Changes a setting, as its owner would; a password from then on is asked of new connections. */
async function configure(url: string, name: string, value: string): Promise<void> {
  const client = new Redis(url);
  await client.config('SET', name, value);
  client.disconnect();
}

type Servers = Record<'redis' | 'postgres', Awaited<ReturnType<typeof startRedis>>>;

let servers: Servers;
let folder: string;

/** Both ask for a password; the database's user `trusted` needs none. */
beforeAll(async () => {
  folder = await mkdtemp(path.join(workDirectoryRoot(), 'spillway-first-answers-'));
  const hba = path.join(folder, 'pg_hba.conf');
  await writeFile(
    hba,
    'host all secret 127.0.0.1/32 scram-sha-256\nhost all tls 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 trust\n',
    { mode: 0o644 },
  );
  const redis = await startRedis({ args: ['--databases', '4'] });
  await configure(redis.url, 'requirepass', 'right');
  const postgres = await startPostgres({ args: ['-c', `hba_file=${hba}`] });
  const pool = createPool({ connectionString: postgres.url, onError: () => {} });
  await pool.query("CREATE ROLE secret LOGIN PASSWORD 'right'; CREATE ROLE tls LOGIN; CREATE ROLE off NOLOGIN");
  await pool.end();
  servers = { redis, postgres };
}, 60_000);

afterAll(async () => {
  await Promise.all([servers.redis.stop(), servers.postgres.stop()]);
  await rm(folder, { recursive: true, force: true });
});

function urlOf(server: keyof Servers, change: Partial<Pick<URL, 'username' | 'password' | 'pathname'>>): string {
  return Object.assign(new URL(servers[server].url), change).href;
}

const kindOf = (url: string): 'redis' | 'postgres' => (url.startsWith('redis') ? 'redis' : 'postgres');

async function outcome(url: string, kind: ServerAddress['kind'] = kindOf(url)): Promise<string> {
  const answers = firstAnswers({ THE_URL: { url, kind } });
  onTestFinished(() => answers.stop());
  return answers.asked.then(
    () => 'starts',
    (error: Error) => error.message,
  );
}

it.each([
  ['redis', { password: 'right' }, 'starts'],
  ['redis', { password: 'wrong' }, 'THE_URL: Redis refuses the user or password of the connection (WRONGPASS)'],
  [
    'redis',
    { username: 'none', password: 'right' },
    'THE_URL: Redis refuses the user or password of the connection (WRONGPASS)',
  ],
  ['redis', {}, 'THE_URL: Redis refuses the user or password of the connection (NOAUTH)'],
  [
    'redis',
    { password: 'right', pathname: '/99' },
    'THE_URL: Redis refuses the database of the connection: many hosted servers and every Cluster have only database 0',
  ],
  ['postgres', {}, 'starts'],
  ['postgres', { username: 'secret', password: 'right' }, 'starts'],
  ['postgres', { username: 'secret', password: 'wrong' }, 'THE_URL: password authentication failed for user "secret"'],
  ['postgres', { username: 'secret' }, expect.stringContaining('THE_URL: SASL: ')],
  ['postgres', { username: 'none' }, 'THE_URL: role "none" does not exist'],
  ['postgres', { username: 'off' }, 'THE_URL: role "off" is not permitted to log in'],
  ['postgres', { username: 'tls' }, expect.stringContaining('THE_URL: pg_hba.conf rejects connection')],
  ['postgres', { pathname: '/none' }, 'THE_URL: database "none" does not exist'],
] as const)('%s with %j: %s', async (server, change, expected) => {
  expect(await outcome(urlOf(server, change))).toEqual(expected);
});

it('tells of a database, a user and a setting that a PgBouncer refuses', async () => {
  const pooler = await startPgBouncer({ databaseUrl: servers.postgres.url });
  onTestFinished(() => pooler.stop());
  const url = (change: object): string => Object.assign(new URL(pooler.url), change).href;
  expect(await outcome(pooler.url)).toBe('THE_URL: unsupported startup parameter: statement_timeout');
  expect(await outcome(url({ pathname: '/none' }), 'pgbouncer')).toBe('THE_URL: database "none" does not exist');
  expect(await outcome(url({ username: 'none' }), 'pgbouncer')).toContain('authentication failed');
  expect(await outcome(pooler.url, 'pgbouncer')).toBe('starts');
});

it('takes a user that may run nothing for one that the server let in', async () => {
  const owner = new Redis(servers.redis.url, { password: 'right' });
  onTestFinished(() => owner.disconnect());
  await owner.acl('SETUSER', 'idle', 'on', '>idle', '-@all');
  expect(await outcome(urlOf('redis', { username: 'idle', password: 'idle' }))).toBe('starts');
});

it('tells of the password that a Cluster refuses', async () => {
  const cluster = await startRedisCluster({ masters: 1 });
  onTestFinished(() => cluster.stop());
  const nodes = cluster.nodes.map(({ host, port }) => `${host}:${port}`).join(',');
  await configure(`redis://${nodes}`, 'requirepass', 'right');
  expect(await outcome(`redis-cluster://:right@${nodes}`)).toBe('starts');
  expect(await outcome(`redis-cluster://:wrong@${nodes}`)).toContain('refuses the user or password');
  expect(await outcome(`redis-cluster://${nodes}`)).toContain('refuses the user or password');
});

describe('a server that is away', () => {
  it.each(['redis', 'postgres'])('%s: nothing listens, or nothing answers', async (scheme) => {
    expect(await outcome(`${scheme}://127.0.0.1:1`)).toBe('starts');
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    onTestFinished(() => void silent.close());
    const address = silent.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    expect(await outcome(`${scheme}://127.0.0.1:${port}`)).toBe('starts');
  });

  it('is asked until it answers, and is told of if it refuses then', async () => {
    const port = await findFreePort();
    const address = { url: `redis://127.0.0.1:${port}/99`, kind: 'redis' } as const;
    const answers = firstAnswers({ A_URL: address, B_URL: address, C_URL: undefined });
    onTestFinished(() => answers.stop());
    await answers.asked;
    const server = await startRedis({ port });
    onTestFinished(() => server.stop());
    expect(await answers.refused).toMatchObject({ code: 'server_refused', variable: 'A_URL' });
  });
});

describe('the worker', () => {
  const redis = useRedis();
  const postgres = useMigratedPostgres();
  let main: string;

  beforeAll(async () => {
    main = await compiled(new URL('main.ts', import.meta.url));
  }, 120_000);

  it('ends with 1 and one line when a server refuses it at the start', async () => {
    const wrong = urlOf('postgres', { username: 'secret', password: 'wrong' });
    const { exited, output } = startProgram(main, {
      REDIS_URL: redis.url,
      DATABASE_URL: postgres.url,
      MAINTENANCE_DATABASE_URL: wrong,
    });
    expect(await exited).toBe(1);
    expect(output()).toBe('MAINTENANCE_DATABASE_URL: password authentication failed for user "secret"\n');
  });

  it('ends with 1 when a server that was away refuses it, and names the variable', async () => {
    const port = await findFreePort();
    const env = { REDIS_URL: `redis://127.0.0.1:${port}/99`, DATABASE_URL: postgres.url };
    const { exited, output } = startProgram(main, env);
    await expect.poll(output, { timeout: 20_000 }).toContain('worker: running');
    const server = await startRedis({ port });
    onTestFinished(() => server.stop());
    expect(await exited).toBe(1);
    expect(output()).toContain('worker: REDIS_URL: Redis refuses the database of the connection');
  });

  it('goes on when a server that has let it in refuses it later', async () => {
    const server = await startRedis();
    onTestFinished(() => server.stop());
    const { child, exited, output } = startProgram(main, { REDIS_URL: server.url, DATABASE_URL: postgres.url });
    await expect.poll(output, { timeout: 20_000 }).toContain('worker: running');
    await configure(server.url, 'requirepass', 'rotated');
    const owner = new Redis(server.url, { password: 'rotated' });
    onTestFinished(() => owner.disconnect());
    await owner.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await expect.poll(output, { timeout: 20_000 }).toContain('NOAUTH');
    expect(child.exitCode).toBeNull();
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
  });
});
