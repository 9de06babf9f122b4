import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findFreePort } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { run } from '../test/run-example.ts';

// Beside node_modules, so that the blocks find what an application has installed.
const folder = fileURLToPath(new URL('../dist/doc-blocks/', import.meta.url));
const names = fileURLToPath(new URL('../test/doc-names.d.ts', import.meta.url));
const base = fileURLToPath(new URL('../../tsconfig.base.json', import.meta.url));
const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));

let blocks: readonly DocBlock[];

beforeAll(async () => {
  blocks = await docBlocks();
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const compilerOptions = {
    composite: false,
    incremental: false,
    noEmit: true,
    declaration: false,
    declarationMap: false,
    isolatedDeclarations: false,
    noUnusedLocals: false,
    noImplicitReturns: false,
    noPropertyAccessFromIndexSignature: false,
    experimentalDecorators: true,
  };
  const files = [names, ...blocks.map((_, index) => `block-${index}.ts`)];
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: base, compilerOptions, files }));
  await Promise.all(blocks.map((block, index) => writeFile(join(folder, `block-${index}.ts`), asModule(block))));
  // Programs of docs/frameworks.md import it, that of NestJS as `limiter.js`.
  for (const name of ['limiter.mts', 'limiter.ts']) await writeFile(join(folder, name), limiterProgram());
});

afterAll(() => rm(folder, { recursive: true, force: true }));

it('finds the blocks of the README and of the pages', () => {
  const pages = new Set(blocks.map(({ where }) => where.split(':')[0]));
  expect(pages).toContain('README.md');
  expect(pages).toContain('docs/migrate/opossum.md');
});

// A page once showed a call that the code no longer had.
it('every TypeScript block on a page compiles', async () => {
  expect(await compileErrors()).toEqual([]);
}, 180_000);

/** The compiler's complaints, each with its page and line. */
async function compileErrors(): Promise<readonly string[]> {
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, [tsc, '--project', folder, '--pretty', 'false'], { cwd: folder }, (_, stdout) =>
      resolve(stdout),
    );
  });
  return output.split('\n').filter(Boolean).map(atItsPage);
}

function atItsPage(line: string): string {
  return line.replace(/^block-(\d+)\.ts\((\d+),\d+\)/u, (whole, index: string, row: string) => {
    const [page, start] = blocks[Number(index)]?.where.split(':') ?? [];
    return page === undefined ? whole : `${page}:${Number(start) + Number(row)}`;
  });
}

const pageBlocks = (): readonly string[] =>
  blocks.filter(({ where }) => where.startsWith('docs/frameworks.md:')).map(({ code }) => code);

/** The limiter that all programs of docs/frameworks.md import. */
const limiterProgram = (): string => pageBlocks().find((code) => code.startsWith('// limiter.mjs\n')) ?? '';

const redis = useRedis();

// Each once named a policy that the page's limiter did not have.
it.each(['hono', 'express', 'fastify', 'node:http'])(
  'the program for %s in docs/frameworks.md works as pasted',
  async (framework) => {
    const place = new URL(`../dist/frameworks-${framework.replace(':', '-')}/`, import.meta.url);
    await mkdir(place, { recursive: true });
    onTestFinished(() => rm(place, { recursive: true }));
    const server = pageBlocks().find((code) => code.includes(`from '${framework}';`) && code.includes('env.PORT'));
    await writeFile(new URL('limiter.mjs', place), limiterProgram());
    await writeFile(new URL('server.mjs', place), server ?? '');
    const ask = await started(new URL('server.mjs', place), '/api/left');
    const statuses = new Set<number>();
    for (let request = 0; request < 99; request += 1) statuses.add((await ask()).status);
    expect([...statuses]).toEqual([200]);
    const refusal = await ask();
    expect(refusal.status).toBe(429);
    expect(refusal.headers.get('RateLimit')).toMatch(/^"standard";r=0;t=\d+$/u);
  },
);

/** What a reader's program has when it migrates; the breaker's call is answered without a network. */
const READERS_NAMES = `
import { Hono } from 'hono';
const response = { set() {}, status: () => response, end: () => response };
Object.assign(globalThis, {
  app: new Hono(), response, redisUrl: process.env.REDIS_URL, userId: 'ada', prompt: 'a', cached: 'b', options: {},
  runwareApiUrl: 'data:text/plain,answer', req: new Request('http://localhost/'), callProvider: async () => 'answer',
  verify: async () => ({ sub: 'ada' }),
});
for (const block of process.argv.slice(2)) await (await import(block)).block();
process.stdout.write('all ran');
process.exit(0);
`;

it('the programs of docs/migrate run, given what the program of a reader has', async () => {
  const mine = blocks.flatMap((block, index) => (block.where.startsWith('docs/migrate/') ? [{ block, index }] : []));
  expect(mine.length).toBeGreaterThan(8);
  const files = await Promise.all(
    mine.map(async ({ block, index }) => {
      const code = block.code.replace(/'rediss?:\/\/[^']*'/u, `'${redis.url}'`);
      await writeFile(join(folder, `run-${index}.ts`), asModule({ ...block, code }));
      return `./run-${index}.ts`;
    }),
  );
  const program = join(folder, 'run.mts');
  await writeFile(program, READERS_NAMES);
  const args = ['--conditions=@spillway/source', '--import', 'tsx', program, ...files];
  const reader = run(process.execPath, args, { REDIS_URL: redis.url });
  expect(await reader.exited()).toBe(0);
  expect(reader.output()).toBe('all ran');
});

/** Runs a program of a page until the test ends. Resolves once it has answered, to a function that sends one more request. */
async function started(file: URL, path: string): Promise<() => Promise<Response>> {
  await redis.client.flushdb();
  const port = String(await findFreePort());
  const args = ['--conditions=@spillway/source', '--import', 'tsx', file.pathname];
  const app = run(process.execPath, args, { REDIS_URL: redis.url, PORT: port });
  onTestFinished(async () => {
    app.child.kill('SIGKILL');
    await app.exited();
  });
  const ask = async (): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`);
  await expect.poll(async () => (await ask().catch(() => undefined))?.status).toBe(200);
  return ask;
}

it("the README's first program works as pasted", async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [, program = ''] = /^```ts\n(.*?)^```$/msu.exec(readme) ?? [];
  const place = new URL('../dist/readme/', import.meta.url);
  await mkdir(place, { recursive: true });
  const file = new URL('app.mts', place);
  await writeFile(file, program);

  const ask = await started(file, '/api/hello');
  const statuses = new Set<number>();
  for (let request = 0; request < 99; request += 1) statuses.add((await ask()).status);
  expect([...statuses]).toEqual([200]);
  const refusal = await ask();
  expect(refusal.status).toBe(429);
  expect(Number(refusal.headers.get('Retry-After'))).toBeGreaterThan(0);
  expect(refusal.headers.get('RateLimit')).toMatch(/^"standard";r=0;t=\d+$/);
});

const workspace = fileURLToPath(new URL('../../', import.meta.url));

/** A TypeScript example on a page. */
interface DocBlock {
  /** The page and the line on which the block begins, as `README.md:61`. */
  readonly where: string;
  readonly code: string;
}

/** All `ts` blocks of the READMEs and of docs/, apart from decision records, which tell of the past. */
async function docBlocks(): Promise<readonly DocBlock[]> {
  const inDocs = await readdir(join(workspace, 'docs'), { recursive: true });
  const pages = inDocs.filter((path) => path.endsWith('.md') && !/^(?:adr|reference)\b|node_modules/u.test(path));
  const packages = (await readdir(join(workspace, 'packages'))).map((name) =>
    join(workspace, 'packages', name, 'README.md'),
  );
  const readmes = packages.filter((path) => existsSync(path)).toSorted();
  const paths = [
    join(workspace, 'README.md'),
    ...readmes,
    ...pages.toSorted().map((page) => join(workspace, 'docs', page)),
  ];
  const found = await Promise.all(paths.map(async (path) => blocksOf(path, await readFile(path, 'utf8'))));
  return found.flat();
}

function blocksOf(path: string, text: string): readonly DocBlock[] {
  return [...text.matchAll(/^```ts\n(?<code>.*?)^```$/gmsu)].map((match) => ({
    where: `${relative(workspace, path)}:${text.slice(0, match.index).split('\n').length}`,
    code: match.groups?.['code'] ?? '',
  }));
}

/**
 * A module of its own from a block: imports at the top, the rest inside a function, since a handler's body returns. One that exports
 * is a module already. Lines keep their numbers.
 */
function asModule({ code }: DocBlock): string {
  if (/^export /mu.test(code)) return code;
  const end = [...code.matchAll(/^(?:import .*|\} from .*)$/gmu)].at(-1);
  const split = end === undefined ? 0 : end.index + end[0].length;
  const imports = code.slice(0, split);
  return `${imports} export async function block(): Promise<unknown> { ${code.slice(split)} return undefined; }\n`;
}
