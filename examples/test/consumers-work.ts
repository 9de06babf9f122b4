import type { RedisFixture } from '@spillway/local-servers/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ended, npmInstall, type NpmProject, npmProject } from './npm-project.ts';
import { run } from './run-example.ts';

/** What `consumer/app.ts` says when limiter and breaker work. */
const WORKS = `${'200 '.repeat(20)}429 429 down down down refused refused\n`;
/** What `consumer/node-redis.mjs` says then. */
const WORKS_WITHOUT_IOREDIS = `${'allowed '.repeat(20)}blocked blocked allowed allowed limited Error Error Error CircuitOpenError CircuitOpenError client_missing installation false client_missing\n`;
const INSTALL_MS = 180_000;

/** What bundlers, compilers, a test runner and runtimes are given, at the versions that are tried: one project has all of them. */
const TOOLS = {
  ioredis: '6.0.0',
  hono: '4.13.19',
  typescript: '5.9.3',
  '@types/node': '20',
  jest: '30.5.2',
  node: '24',
  // Later ones need Node 22.
  miniflare: '4.20251210.0',
  esbuild: '0.28.2',
  rollup: '4.68.8',
  '@rollup/plugin-commonjs': '29',
  '@rollup/plugin-json': '6',
  '@rollup/plugin-node-resolve': '16',
  webpack: '5.113.0',
  'webpack-cli': '6',
  bun: '1.4.5',
  deno: '2.9.6',
  // What the edge functions of `spillway init supabase` import.
  jose: '6',
  '@supabase/supabase-js': '2',
};

/** What a program complains about, '' when it ended well. */
async function problem(ended: Promise<Ended>): Promise<string> {
  const { code, output } = await ended;
  return code === 0 ? '' : `exit code ${code}: ${output}`;
}

/** Installs limiter, breaker and {@link TOOLS} into a project. */
export async function toolsProject(tarballs: Readonly<Record<string, string>>): Promise<NpmProject> {
  const project = await npmProject({ ...ours(tarballs), ...TOOLS }, tarballs);
  await npmInstall(project);
  return project;
}

function ours(tarballs: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(['@spillway/limiter', '@spillway/breaker'].map((name) => [name, tarballs[name] ?? '']));
}

/**
 * Tests of applications in projects of their own, which get our packages as tarballs.
 * @param tools gives the project of {@link toolsProject}
 */
export function consumersWork(
  redis: RedisFixture,
  tarballs: () => Readonly<Record<string, string>>,
  tools: () => NpmProject,
): void {
  const projects: NpmProject[] = [];
  afterAll(async () => {
    await Promise.all(projects.map((project) => project.remove()));
  });

  async function installed(
    dependencies: Readonly<Record<string, string>>,
    files?: '.' | 'next',
    ...options: readonly string[]
  ): Promise<NpmProject> {
    const from = tarballs();
    const project = await npmProject({ ...ours(from), ...dependencies }, from, files);
    projects.push(project);
    await npmInstall(project, options);
    return project;
  }

  /** Runs what a test made; gives what it says. */
  async function flood(project: NpmProject, program: string, ...args: readonly string[]): Promise<string> {
    await redis.client.flushall();
    return (await project.run(program, args, { REDIS_URL: redis.url })).output;
  }

  /** With `nodenext` every declaration file is checked, ours and those of our dependencies; once is enough. */
  const compile = (module: string, resolution: string): Promise<Ended> => {
    const options = ['--strict', '--target', 'es2022', '--module', module, '--moduleResolution', resolution];
    if (module !== 'nodenext') options.push('--skipLibCheck');
    return tools().run('tsc', [...options, '--outDir', module, 'app.ts']);
  };

  describe('npm install', () => {
    it.each([
      { ioredis: '5.6.0', hono: '4.0.0' },
      { ioredis: '5.11.1', hono: '4.13.19' },
    ])(
      'gives an application that works with $ioredis of ioredis and $hono of hono',
      async (versions) => expect(await flood(await installed(versions), 'node', 'app.mjs')).toBe(WORKS),
      INSTALL_MS,
    );
  });

  describe('a project with node-redis and without ioredis', { timeout: 300_000 }, () => {
    let project: NpmProject;
    beforeAll(async () => {
      const { esbuild, webpack, 'webpack-cli': cli, typescript, '@types/node': node } = TOOLS;
      const used = { esbuild, webpack, 'webpack-cli': cli, typescript, '@types/node': node };
      // npm would install ioredis along, as it does with peers.
      project = await installed({ redis: '6.3.1', ...used }, '.', '--legacy-peer-deps');
    }, INSTALL_MS);

    it('limits and breaks, with memory too, and is told what a URL needs', async () => {
      const missing = "import('ioredis').then(() => process.exit(1), () => undefined)";
      expect(await problem(project.run('node', ['--eval', missing]))).toBe('');
      expect(await flood(project, 'node', 'node-redis.mjs')).toBe(WORKS_WITHOUT_IOREDIS);
    });

    it('compiles, declarations of packages included', async () => {
      const options = ['--noEmit', '--strict', '--allowJs', '--checkJs', '--target', 'es2023', '--module', 'nodenext'];
      expect(await problem(project.run('tsc', [...options, 'node-redis.mjs']))).toBe('');
    });

    it.each([
      ['esbuild', ['node-redis.mjs', '--bundle', '--platform=node', '--format=cjs', '--outfile=out/esbuild.cjs']],
      ['webpack', ['--config', 'webpack.config.cjs', '--env', 'entry=node-redis.mjs']],
    ])('limits when it was bundled by %s', async (bundler, args) => {
      expect(await problem(project.run(bundler, args))).toBe('');
      expect(await flood(project, 'node', `out/${bundler}.cjs`)).toBe(WORKS_WITHOUT_IOREDIS);
    });
  });

  describe('in one file, without a folder of packages,', () => {
    const esbuild = ['app.mjs', '--bundle', '--platform=node', '--log-level=error'];
    // What CommonJS dependencies ask for at run time.
    const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
    it.each([
      [
        'esbuild as CommonJS, minified',
        'esbuild',
        [...esbuild, '--format=cjs', '--minify', '--outfile=out/a.cjs'],
        'a.cjs',
      ],
      [
        'esbuild as ESM',
        'esbuild',
        [...esbuild, '--format=esm', `--banner:js=${banner}`, '--outfile=out/a.mjs'],
        'a.mjs',
      ],
      ['Rollup', 'rollup', ['--config', '--silent'], 'rollup.mjs'],
      ['webpack', 'webpack', ['--config', 'webpack.config.cjs'], 'webpack.cjs'],
    ])(
      'an application limits that was bundled by %s',
      async (_, program, args, file) => {
        expect(await problem(tools().run(program, args))).toBe('');
        const away = await npmProject({}, {});
        projects.push(away);
        expect(
          await problem(
            away.run('node', [
              '--eval',
              'fs.renameSync(process.argv[1], process.argv[2])',
              `${tools().folder}/out/${file}`,
              file,
            ]),
          ),
        ).toBe('');
        expect(await flood(away, 'node', file)).toBe(WORKS);
      },
      120_000,
    );

    it('an application limits that `bun build --compile` made', async () => {
      expect(
        await problem(tools().run('bun', ['build', '--compile', 'app.mjs', '--outfile', 'node_modules/.bin/app'])),
      ).toBe('');
      expect(await flood(tools(), 'app')).toBe(WORKS);
    }, 120_000);

    it('an application limits in Deno that may use the network and the environment, and read no file', async () => {
      expect(await flood(tools(), 'deno', 'run', '--no-prompt', '--allow-net', '--allow-env', 'app.mjs')).toBe(WORKS);
    }, 120_000);
  });

  describe('a project of TypeScript 5.9', { timeout: 180_000 }, () => {
    it.each([
      ['commonjs', 'node10'],
      ['node20', 'node16'],
      ['nodenext', 'nodenext'],
    ])('compiles to CommonJS that works, with module %s and moduleResolution %s', async (module, resolution) => {
      expect(await problem(compile(module, resolution))).toBe('');
      expect(await flood(tools(), 'node', `${module}/app.js`)).toBe(WORKS);
    });

    it('compiles with moduleResolution bundler', async () =>
      expect(await problem(compile('preserve', 'bundler'))).toBe(''));

    it('is told by the compiler that a CommonJS file with module node16 has to become nodenext', async () => {
      expect(await compile('node16', 'node16')).toMatchObject({ code: 2, output: expect.stringContaining('TS1479') });
    });

    const jest = ['--experimental-vm-modules', 'node_modules/.bin/jest', '--testMatch'];
    it('is tested by Jest as an ES module', async () =>
      expect(await problem(tools().run('node', [...jest, '**/*.test.mjs']))).toBe(''));
    it('is tested by Jest as CommonJS on Node 24', async () =>
      expect(await problem(tools().run(`../node/bin/node`, [...jest, '**/*.test.cjs']))).toBe(''));
  });

  describe('an application of Next 16', () => {
    let project: NpmProject;
    beforeAll(async () => {
      project = await installed({ ioredis: '6.0.0', next: '16.4.6', react: '19', 'react-dom': '19' }, 'next');
    }, INSTALL_MS);

    it.each(['--turbopack', '--webpack'])(
      'limits that was built with %s',
      async (bundler) => {
        expect(
          await problem(
            project.run('next', ['build', bundler], { NEXT_TELEMETRY_DISABLED: '1', REDIS_URL: redis.url }),
          ),
        ).toBe('');
        const next = `${project.folder}/node_modules/next/dist/bin/next`;
        const args = [next, 'start', project.folder, '--port', '0', '--hostname', '127.0.0.1'];
        const server = run(process.execPath, args, { REDIS_URL: redis.url });
        try {
          const address = /http:\/\/127\.0\.0\.1:\d+/u;
          await expect.poll(server.output, { timeout: 60_000 }).toMatch(/Ready/);
          const url = `${address.exec(server.output())?.[0]}/limited`;
          const answers: string[] = [];
          for (let request = 0; request < 22; request += 1) {
            const answer = await fetch(url, { method: 'POST' });
            answers.push(answer.ok ? await answer.text() : String(answer.status));
          }
          expect(answers.join(' ')).toBe(`down down down ${'refused '.repeat(17)}429 429`);
          const demo = { headers: { 'X-API-Key': 'demo' } };
          const articles: number[] = [];
          for (let request = 0; request < 11; request += 1) {
            articles.push((await fetch(url.replace('limited', 'articles'), demo)).status);
          }
          expect(articles).toEqual([...Array.from({ length: 10 }, () => 200), 429]);
        } finally {
          server.child.kill();
          await server.exited();
        }
      },
      180_000,
    );
  });
}
