import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { startPgBouncer, startRedis, startRedisCluster, startRedisSentinel } from '@spillway/local-servers';
import { expect, it, onTestFinished } from 'vitest';
import { spillway, useServers } from '../../test/spillway.ts';

const servers = useServers();

const addresses = (nodes: readonly { readonly host: string; readonly port: number }[]): string =>
  nodes.map(({ host, port }) => `${host}:${port}`).join(',');

async function doctor(env: Readonly<Record<string, string>>): Promise<{ code: number | null; checks: unknown }> {
  const { code, stdout } = await spillway(['doctor', '--json'], { ...servers.env, ...env });
  const { checks }: { checks: { check: string; status: string; found: string }[] } = JSON.parse(stdout);
  return { code, checks: Object.fromEntries(checks.map(({ check, status, found }) => [check, [status, found]])) };
}

it('finds nothing to change where all is well', async () => {
  const redis = await startRedis({ appendOnly: true });
  try {
    const env = { ...servers.env, REDIS_URL: redis.url };
    const { code, stdout, stderr } = await spillway(['doctor'], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).not.toMatch(/warn|fail/u);
    for (const part of ['REDIS_URL eviction policy', 'noeviction', 'appendonly yes', 'migrated', 'direct']) {
      expect(stdout).toContain(part);
    }
    expect(stdout).toContain('this month and 3 more');
    expect(stdout).toContain('clock of REDIS_URL to Postgres');
  } finally {
    await redis.stop();
  }
});

it('ends with 4 for a Redis that may evict, and says what to set', async () => {
  const redis = await startRedis({ appendOnly: false, args: ['--maxmemory-policy', 'allkeys-lru'] });
  try {
    const { code, stdout } = await spillway(['doctor'], { ...servers.env, REDIS_URL: redis.url });
    expect(code).toBe(4);
    expect(stdout).toContain('CONFIG SET maxmemory-policy noeviction');
    expect(stdout).toContain('CONFIG SET appendonly yes');
  } finally {
    await redis.stop();
  }
});

it('ends with 4 for a Redis and a Postgres that are too old', async () => {
  const { rows } = await servers.postgres.pool.query<{ version: string }>(
    `SELECT current_setting('server_version_num') AS version`,
  );
  const version = rows[0]?.version ?? '';
  expect(version).toHaveLength(6);
  const old = {
    REDIS_URL: await rewritingProxy(servers.redis.url, (answer) =>
      // Without the line by which a Valkey is known.
      answer.replace(/redis_version:\d\./u, 'redis_version:5.').replace('valkey_version', 'hidden_version'),
    ),
    DATABASE_URL: await rewritingProxy(servers.postgres.url, (answer) => answer.replaceAll(version, '130000')),
  };
  expect(await doctor(old)).toMatchObject({
    code: 4,
    checks: {
      'REDIS_URL version': ['fail', expect.stringMatching(/^5\./u)],
      'DATABASE_URL version': ['fail', expect.any(String)],
    },
  });
});

it('names a Valkey by its own version', async () => {
  const REDIS_URL = await rewritingProxy(servers.redis.url, (answer) =>
    answer.replace(/redis_build_id:\w+/u, (line) => 'valkey_version:9.1.2\r\n'.padEnd(line.length, '#')),
  );
  const { checks } = await doctor({ REDIS_URL });
  expect(checks).toMatchObject({ 'REDIS_URL version': ['ok', 'Valkey 9.1.2'] });
});

it.each([-60, 60])('warns of a Redis whose clock is off by %i s', async (seconds) => {
  const REDIS_URL = await rewritingProxy(servers.redis.url, (answer) =>
    answer.replace(/(?<=^\*2\r\n\$10\r\n)\d{10}/u, (now) => String(Number(now) + seconds)),
  );
  const { checks } = await doctor({ REDIS_URL });
  const ms = expect.stringMatching(seconds < 0 ? /^-(?:59|60)\d{3} ms$/u : /^(?:59|60)\d{3} ms$/u);
  expect(checks).toMatchObject({ 'clock of REDIS_URL to Postgres': ['warn', ms] });
});

it('looks at the second Redis too, and goes on when one is away', async () => {
  expect(await doctor({ QUEUE_REDIS_URL: 'redis://127.0.0.1:1' })).toMatchObject({
    code: 4,
    checks: {
      'QUEUE_REDIS_URL reachable': ['fail', expect.stringContaining('ECONNREFUSED')],
      'REDIS_URL eviction policy': ['ok', 'noeviction'],
      'DATABASE_URL schema': ['ok', 'migrated'],
    },
  });
});

it('looks at each master of a Cluster, and at the one that sentinels name', { timeout: 120_000 }, async () => {
  const [cluster, set] = await Promise.all([startRedisCluster(), startRedisSentinel({ downAfterMs: 60_000 })]);
  onTestFinished(async () => void (await Promise.all([cluster.stop(), set.stop()])));
  const urls = {
    REDIS_URL: `redis-cluster://${addresses(cluster.nodes)}`,
    QUEUE_REDIS_URL: `redis-sentinel://${addresses(set.sentinels)}/${set.name}`,
  };
  const { checks } = await doctor(urls);
  const found = Object.keys(checks as object).filter((check) => check.endsWith('version'));
  expect(found).toEqual([
    expect.stringMatching(/^REDIS_URL [\d.]+:\d+ version$/u),
    expect.stringMatching(/^REDIS_URL [\d.]+:\d+ version$/u),
    expect.stringMatching(/^REDIS_URL [\d.]+:\d+ version$/u),
    'QUEUE_REDIS_URL version',
    'DATABASE_URL version',
  ]);
  expect(await spillway(['audit', 'reconcile'], { ...servers.env, ...urls })).toMatchObject({ code: 0, stderr: '' });
});

it.each(['redis-cluster://127.0.0.1:1', 'redis-sentinel://127.0.0.1:1/spillway'])(
  'says that nothing answers at %s',
  async (url) => {
    const { code, checks } = await doctor({ REDIS_URL: url });
    expect({ code, checks }).toMatchObject({
      code: 4,
      checks: { 'REDIS_URL reachable': ['fail', expect.any(String)] },
    });
  },
);

it('fails while somebody else may touch a table of Spillway, until migrate runs again', async () => {
  const { pool } = servers.postgres;
  await pool.query(
    'GRANT SELECT, INSERT ON rate_limits_v2 TO PUBLIC; GRANT EXECUTE ON FUNCTION record_metric TO PUBLIC',
  );
  expect(await doctor({})).toMatchObject({
    code: 4,
    checks: {
      'DATABASE_URL privileges': [
        'fail',
        expect.stringMatching(
          /PUBLIC: EXECUTE on FUNCTION public\.record_metric.*INSERT, SELECT on TABLE public\.rate_limits_v2/u,
        ),
      ],
    },
  });
  expect(await spillway(['migrate'], servers.env)).toMatchObject({ code: 0 });
  expect((await doctor({})).checks).toMatchObject({ 'DATABASE_URL privileges': ['ok', expect.any(String)] });
});

it('sees a database that is not migrated, a month that is missing and archives of one’s own', async () => {
  await servers.postgres.pool.query(`
    CREATE TABLE archive.plain (at timestamptz);
    DO $$ DECLARE part text; BEGIN
      FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'archive.audit_logs'::regclass LOOP
        EXECUTE 'DROP TABLE ' || part;
      END LOOP;
    END $$`);
  const tables = ['archive.plain', 'archive.absent'].map((target) => ({
    source: target.replace('archive', 'public'),
    target,
    retentionDays: 1,
  }));
  const env = { SPILLWAY_ARCHIVE_TABLES: JSON.stringify(tables) };
  const { code, checks } = await doctor(env);
  expect(code).toBe(4);
  expect(checks).toMatchObject({
    'partitions of archive.audit_logs': ['fail', 'this month is missing'],
    'partitions of archive.generations': ['ok', 'this month and 3 more'],
    'archiving of public.generations': ['ok', 'fits archive.generations'],
    'archiving of public.absent': ['fail', 'source public.absent does not exist'],
    'partitions of archive.absent': ['fail', 'archive.absent: there is no such table'],
  });
  expect(checks).not.toHaveProperty('partitions of archive.plain');
  await servers.postgres.pool.query('DROP SCHEMA spillway CASCADE');
  expect(await doctor({})).toMatchObject({ code: 4, checks: { 'DATABASE_URL schema': ['fail', 'not migrated'] } });
});

it('tells a pooler in transaction mode from a direct connection', async () => {
  const pooler = await startPgBouncer({ databaseUrl: servers.postgres.url });
  try {
    expect(await doctor({ DATABASE_URL: pooler.url, DATABASE_SERVER: 'pgbouncer' })).toMatchObject({
      checks: {
        'DATABASE_URL pooling': ['warn', 'transaction pooler'],
        'DATABASE_URL connection': ['ok', 'as a pgbouncer'],
      },
    });
    // As a Postgres it refuses what API and worker ask for: they would end at their start.
    expect(await doctor({ DATABASE_URL: pooler.url })).toMatchObject({
      code: 4,
      checks: { 'DATABASE_URL connection': ['fail', 'unsupported startup parameter: statement_timeout'] },
    });
  } finally {
    await pooler.stop();
  }
  expect(await doctor({})).toMatchObject({ checks: { 'DATABASE_URL pooling': ['ok', 'direct'] } });
});

/**
 * A server in front of another that changes what the other answers, until the test ends: a real Redis of another version, or
 * a Postgres with another clock, as far as its client can tell.
 * @param target a URL with the host and port of the other
 * @param rewrite gets the bytes of an answer as latin1; it must keep their number where the protocol counts them
 * @returns the same URL with the port of the proxy
 */
async function rewritingProxy(target: string, rewrite: (answer: string) => string): Promise<string> {
  const { port, hostname } = new URL(target);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const other = connect(Number(port), hostname);
    for (const socket of [client, other]) sockets.add(socket.on('error', () => socket.destroy()));
    client.pipe(other);
    other.on('data', (bytes) => client.write(Buffer.from(rewrite(bytes.toString('latin1')), 'latin1')));
    other.on('close', () => client.end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the proxy has no port');
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = String(address.port);
  return url.href;
}
