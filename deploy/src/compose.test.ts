import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  commandOf,
  deployPath,
  deployText,
  deployYaml,
  environmentOf,
  last,
  readStages,
  variablesOf,
} from '../test/deploy-files.ts';

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target: string };
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly read_only?: boolean;
  readonly command?: readonly string[];
  readonly healthcheck?: object;
}

/** `<<` is YAML 1.1's, which Compose understands. */
async function readCompose(file = 'compose.yaml'): Promise<{
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
  networks: Record<string, { readonly internal?: boolean }>;
  configs: Record<string, { readonly content: string }>;
}> {
  const { parse } = await import('yaml');
  return parse(await deployText(file), { merge: true }) as Awaited<ReturnType<typeof readCompose>>;
}

const ours = ['api', 'worker', 'migrate'];

const hasPlugin = spawnSync('docker', ['compose', 'version']).status === 0;

describe.skipIf(!hasPlugin)(
  `docker compose config${hasPlugin ? '' : ' (skipped: docker has no compose plugin here)'}`,
  () => {
    it('finds nothing wrong', async () => {
      const names = [...(await deployText('.env.example')).matchAll(/^(\w+)=/gmu)].map(([, name = '']) => name);
      const env = { PATH: process.env['PATH'] ?? '', ...Object.fromEntries(names.map((name) => [name, 'secret'])) };
      const { status, stderr } = spawnSync(
        'docker',
        ['compose', '--file', deployPath('compose.yaml'), 'config', '--quiet'],
        { env },
      );
      expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: '' });
    });
  },
);

/** Rules of taste: the order of keys and services, quotes; and that what is built here has a name too. */
const taste = [
  'service-keys-order',
  'services-alphabetical-order',
  'service-dependencies-alphabetical-order',
  'top-level-properties-order',
  'no-quotes-in-volumes',
  'no-build-and-image',
];

const files = ['compose.yaml', 'compose.small.yaml'];

it.each(files)('%s is what the Compose specification allows, with no tag or port left to chance', (file) => {
  const args = [file, '--formatter', 'json', ...taste.map((rule) => `--disable-rule=${rule}`)];
  const { stdout } = spawnSync('node_modules/.bin/dclint', args, { cwd: deployPath(''), encoding: 'utf8' });
  const [result] = JSON.parse(stdout) as { messages: unknown[] }[];
  expect(result?.messages).toEqual([]);
});

it('gives each part only variables that it reads, and all that it must have', async () => {
  const { services } = await readCompose();
  for (const name of ours) {
    const known = name === 'migrate' ? ['DATABASE_URL'] : await variablesOf(name);
    const given = Object.keys(services[name]?.environment ?? {});
    expect(
      given.filter((variable) => !known.includes(variable)),
      name,
    ).toEqual([]);
    expect(given, name).toEqual(
      expect.arrayContaining(name === 'migrate' ? ['DATABASE_URL'] : ['DATABASE_URL', 'REDIS_URL']),
    );
  }
});

it('tells each part that asks PgBouncer so', async () => {
  const { services } = await readCompose();
  const pooled = Object.values(services).filter(({ environment }) =>
    environment?.['DATABASE_URL']?.includes('@pgbouncer:'),
  );
  expect(pooled.map(({ environment }) => environment?.['DATABASE_SERVER'])).toEqual(['pgbouncer', 'pgbouncer']);
});

it('builds the stages that there are, read-only and after the migration', async () => {
  const [{ services }, stages] = await Promise.all([readCompose(), readStages()]);
  for (const name of ours) {
    expect(services[name]?.build, name).toEqual({ context: '..', dockerfile: 'deploy/Dockerfile', target: name });
    expect(stages.has(name), name).toBe(true);
    expect(services[name]?.read_only, name).toBe(true);
  }
  for (const name of ['api', 'worker']) {
    expect(services[name]?.depends_on?.['migrate']?.condition).toBe('service_completed_successfully');
  }
});

it('has a small form: one process, Redis and Postgres, in which routes, rows and maintenance have a user each', async () => {
  const [{ services, networks }, large] = await Promise.all([readCompose('compose.small.yaml'), readCompose()]);
  expect(Object.keys(services)).toEqual(['redis', 'postgres', 'migrate', 'api']);
  for (const name of ['redis', 'postgres']) expect(services[name]?.image, name).toBe(large.services[name]?.image);
  const environment = services['api']?.environment ?? {};
  const known = new Set([...(await variablesOf('api')), ...(await variablesOf('worker'))]);
  expect(Object.keys(environment).filter((variable) => !known.has(variable))).toEqual([]);
  expect(environment['SPILLWAY_WORKER']).toBe('inside');
  const users = ['DATABASE_URL', 'WORKER_DATABASE_URL', 'MAINTENANCE_DATABASE_URL'].map(
    (variable) => new URL((environment[variable] ?? '').replaceAll(/\$\{.*?\}/gu, 'x')).username,
  );
  expect(users).toEqual(['api', 'worker', 'maintenance']);
  expect(networks['data']?.internal).toBe(true);
  for (const [name, service] of Object.entries(services)) {
    expect(service, name).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      networks: expect.arrayContaining(['data']),
    });
  }
});

it.each(files)('%s mounts files that exist, publishes to this machine only, and pins every image', async (file) => {
  const { services, volumes } = await readCompose(file);
  for (const [name, { image, volumes: mounts = [], ports = [], build }] of Object.entries(services)) {
    for (const source of mounts.map((mount) => mount.split(':')[0] ?? '')) {
      expect(
        source.startsWith('./') ? existsSync(deployPath(source.slice(2))) : source in volumes,
        `${name}: ${source}`,
      ).toBe(true);
    }
    for (const port of ports) expect(port, name).toMatch(/^127\.0\.0\.1:/u);
    if (build === undefined) expect(image, name).toMatch(/:v?\d+\.\d+[^@]*@sha256:[\da-f]{64}$/u);
  }
});

it('asks for every password that it uses, in .env.example too', async () => {
  const used = [...(await deployText('compose.yaml')).matchAll(/\$\{(\w+):\?/gu)].map(([, name = '']) => name);
  const example = [...(await deployText('.env.example')).matchAll(/^(\w+)=/gmu)].map(([, name = '']) => name);
  expect([...new Set(used)].toSorted()).toEqual(example.toSorted());
});

it('lets Prometheus find what it scrapes and Grafana what it asks', async () => {
  const { services } = await readCompose();
  const [prometheus] = await deployYaml<{
    scrape_configs: { dns_sd_configs: { names: string[]; type: string; port: number }[] }[];
  }>('prometheus/prometheus.yml');
  const targets = prometheus?.scrape_configs.flatMap((job) =>
    job.dns_sd_configs.flatMap(({ names, type, port }) => names.map((name) => `${type} ${name}:${port}`)),
  );
  expect(targets).toEqual(['A api:8787', 'A worker:8788']);
  const [grafana] = await deployYaml<{ datasources: { url: string }[] }>(
    'grafana/provisioning/datasources/spillway.yml',
  );
  const hosts = grafana?.datasources.map(({ url }) => url.replace(/^https?:\/\//u, '').split(':')[0] ?? '') ?? [];
  expect(hosts).toEqual(['prometheus', 'postgres']);
  for (const host of hosts) {
    expect(
      services[host]?.networks.some((network) => services['grafana']?.networks.includes(network)),
      host,
    ).toBe(true);
  }
  for (const part of ['api', 'worker']) expect(services[part]?.networks).toContain('metrics');
});

it('lets nobody into Redis without a password, and no dashboard into its network', async () => {
  const { services, networks, configs } = await readCompose();
  expect(configs['redis-password']?.content).toContain('requirepass "${REDIS_PASSWORD:?set it}"');
  expect(services['redis']?.command).toContain('/usr/local/etc/redis/password.conf');
  for (const part of ['api', 'worker']) {
    expect(services[part]?.environment?.['REDIS_URL']).toContain('redis://:${REDIS_PASSWORD:?set it}@');
  }
  expect(networks['data']?.internal).toBe(true);
  const inside = Object.keys(services).filter((name) => services[name]?.networks.includes('data'));
  expect(inside).toEqual(['redis', 'postgres', 'pgbouncer', 'migrate', 'api', 'worker']);
});

it('takes every right from every container but what its entrypoint needs', async () => {
  for (const [name, service] of Object.entries((await readCompose()).services)) {
    expect(service, name).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
  }
});

it('waits for PgBouncer before what asks it', async () => {
  const { services } = await readCompose();
  expect(services['pgbouncer']?.healthcheck).toMatchObject({ test: ['CMD', 'nc', '-z', '127.0.0.1', '6432'] });
  for (const part of ['api', 'worker']) {
    expect(services[part]?.depends_on?.['pgbouncer']?.condition).toBe('service_healthy');
  }
});

it('keeps what Redis acknowledged, and never evicts', async () => {
  const command = (await readCompose()).services['redis']?.command?.join(' ');
  expect(command).toContain('--appendonly yes --appendfsync everysec');
  expect(command).toContain('--maxmemory-policy noeviction');
});

const images = ['api', 'worker', 'migrate'] as const;

it.each(images)(
  '%s runs as a user by number who is not root, from a pinned image, without the build in it',
  async (name) => {
    const stages = await readStages();
    const stage = stages.get(name);
    expect(last(stage, 'USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/u);
    expect(stage?.from).toMatch(/^node:\d+\.\d+\.\d+-alpine\d+\.\d+@sha256:[\da-f]{64}$/u);
    expect(stage?.steps.filter(([step]) => step === 'COPY')).toEqual([['COPY', '--from=build /app ./']]);
  },
);

it('builds with the pnpm of package.json', async () => {
  const { packageManager } = JSON.parse(await deployText('../package.json')) as { packageManager: string };
  expect(await deployText('Dockerfile')).toContain(`npm install --global ${packageManager}\n`);
});

it.each(['api', 'worker'] as const)(
  '%s exposes the port that it listens on and that its health check asks',
  async (name) => {
    const stage = (await readStages()).get(name);
    const environment = environmentOf(stage);
    const port = environment[name === 'api' ? 'PORT' : 'WORKER_HTTP_PORT'];
    expect(last(stage, 'EXPOSE')).toBe(port);
    expect(commandOf(stage, 'HEALTHCHECK').at(-1)).toBe(`http://127.0.0.1:${port}/healthz`);
    expect(environment[name === 'api' ? 'HOST' : 'WORKER_HTTP_HOST']).toBe('0.0.0.0');
    const known = new Set([...(await variablesOf(name)), 'NODE_ENV', 'NODE_OPTIONS']);
    expect(Object.keys(environment).filter((variable) => !known.has(variable))).toEqual([]);
  },
);

it.each(['api', 'worker'] as const)('%s runs with the flags of its start script', async (name) => {
  const { scripts } = JSON.parse(await deployText(`../packages/${name}/package.json`)) as {
    scripts: { start: string };
  };
  const stage = (await readStages()).get(name);
  const flags = [...(environmentOf(stage)['NODE_OPTIONS']?.split(' ') ?? []), ...commandOf(stage, 'CMD')].filter(
    (part) => part.startsWith('--'),
  );
  expect(flags).toEqual(scripts.start.split(' ').filter((part) => part.startsWith('--')));
});

it('leaves out of the build what a checkout holds besides', async () => {
  const ignored = (await deployText('Dockerfile.dockerignore')).split('\n');
  expect(ignored).toEqual(expect.arrayContaining(['**/node_modules', '**/dist', '.git', '**/.env', '**/.data']));
});
