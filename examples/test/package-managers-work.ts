import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RedisFixture } from '@spillway/local-servers/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalRegistry, type NpmProject, npmProject, startLocalRegistry } from './npm-project.ts';

const OURS = ['@spillway/limiter', '@spillway/breaker'];
/** What comes with them from the same registry. */
const WITH_THEM = ['@spillway/redis'];
const INSTALL_MS = 180_000;

/** A program for an empty project: two of three requests are admitted, over a URL, and a call goes through a breaker. */
const program = (load: string): string => `(async () => {
  const { createLimiter } = await ${load}('@spillway/limiter');
  const { createBreakers } = await ${load}('@spillway/breaker');
  const policies = [{ name: 'two', limit: 2, windowMs: 60_000, onUnavailable: 'closed' }];
  const limiter = createLimiter({ redis: process.env.REDIS_URL, policies, deadlineMs: 5_000 });
  for (let request = 0; request < 3; request += 1) console.log((await limiter.consume('two', 'ada')).reason);
  const breakers = createBreakers({ redis: process.env.REDIS_URL });
  console.log(await breakers.run('runware', 'ai_provider', async () => 'called'));
  await Promise.all([limiter.close(), breakers.close()]);
})()`;
const WORKS = 'allowed\nallowed\nlimited\ncalled\n';

/** How one package manager installs into an empty project, and runs Node there. */
interface PackageManager {
  readonly name: string;
  /** As `npx` runs it. */
  readonly program: readonly string[];
  /** Adds packages from the registry. */
  readonly add: (url: string) => readonly string[];
  /** Files of its settings. No cache is shared with other projects: the version of what is packed here never changes. */
  readonly settings?: (url: string) => Readonly<Record<string, string>>;
  /** Peer dependencies are to be named. */
  readonly namesPeers?: true;
  /** Runs Node, where plain Node doesn't find the packages. */
  readonly node?: readonly string[];
  /** Which ways of loading work, see docs/install.md. @default both */
  readonly loads?: readonly string[];
}

const yarn4 = (nodeLinker: string) => (url: string) => ({
  '.yarnrc.yml': JSON.stringify({
    npmRegistryServer: url,
    unsafeHttpWhitelist: ['127.0.0.1'],
    nodeLinker,
    enableGlobalCache: false,
    // It keeps what registries said, with the ports of those that are gone.
    globalFolder: './global',
    enableTelemetry: false,
    enableImmutableInstalls: false,
    npmMinimalAgeGate: 0,
  }),
  'yarn.lock': '',
});

const YARN_4 = { program: ['@yarnpkg/cli-dist@4.18.1'], add: () => ['add'], namesPeers: true } as const;

const MANAGERS: readonly PackageManager[] = [
  {
    name: 'npm 10',
    program: ['npm@10.9.9'],
    add: (url) => ['install', '--no-audit', '--cache=cache', `--registry=${url}`],
  },
  {
    name: 'npm 11',
    program: ['npm@11.21.2'],
    add: (url) => ['install', '--no-audit', '--cache=cache', `--registry=${url}`],
  },
  {
    name: 'pnpm 12, which hides what is not named',
    program: ['pnpm@12.21.0'],
    add: (url) => [
      'add',
      `--registry=${url}`,
      '--store-dir=store',
      '--cache-dir=cache',
      '--config.minimumReleaseAge=0',
    ],
  },
  {
    name: 'Yarn 1',
    program: ['yarn@1.22.22'],
    add: (url) => ['add', `--registry=${url}`, '--cache-folder=cache', '--no-progress'],
    namesPeers: true,
  },
  { name: 'Yarn 4 with node_modules', ...YARN_4, settings: yarn4('node-modules') },
  {
    name: "Yarn 4 with Plug'n'Play",
    ...YARN_4,
    settings: yarn4('pnp'),
    node: ['@yarnpkg/cli-dist@4.18.1', 'node'],
    loads: ['import'],
  },
  {
    name: 'Bun',
    program: ['bun@1.4.5'],
    add: (url) => ['add', `--registry=${url}`],
    settings: () => ({ 'bunfig.toml': '[install.cache]\ndir = "cache"\n' }),
  },
];

/** Tests that what is published can be installed and loaded with each package manager, from a registry on this machine. */
export function packageManagersWork(redis: RedisFixture, tarballs: () => Readonly<Record<string, string>>): void {
  describe('installed from a registry into an empty project by', () => {
    const projects: NpmProject[] = [];
    let registry: LocalRegistry | undefined;
    beforeAll(async () => {
      const from = tarballs();
      registry = await startLocalRegistry([...OURS, ...WITH_THEM].map((name) => from[name] ?? ''));
    }, INSTALL_MS);
    afterAll(async () => {
      await registry?.stop();
      await Promise.all(projects.map((project) => project.remove()));
    });

    it.each(MANAGERS)(
      '$name, limiter and breaker work',
      async ({ program: manager, add, settings, namesPeers, node, loads = ['import', 'require'] }) => {
        const url = registry?.url ?? '';
        const project = await npmProject({}, {}, 'none');
        projects.push(project);
        for (const [file, text] of Object.entries(settings?.(url) ?? {})) {
          await writeFile(join(project.folder, file), text);
        }
        const packages = namesPeers === true ? [...OURS, 'ioredis'] : OURS;
        const installed = await project.run('npx', ['--yes', ...manager, ...add(url), ...packages], { CI: 'true' });
        expect(installed.code === 0 ? '' : installed.output).toBe('');
        for (const load of loads) {
          await redis.client.flushall();
          const [file, ...before] = node === undefined ? ['node'] : ['npx', '--yes', ...node];
          const ended = await project.run(file, [...before, '--eval', program(load)], { REDIS_URL: redis.url });
          expect(ended.output, load).toBe(WORKS);
        }
      },
      INSTALL_MS,
    );
  });
}
