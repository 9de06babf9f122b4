import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const workspace = fileURLToPath(new URL('../../', import.meta.url));

/** Pages whose programs a reader runs, by their path, with their text. Pages of docs/migrate show lines of a program that is there already. */
async function pages(): Promise<ReadonlyMap<string, string>> {
  const packages = (await readdir(`${workspace}packages`)).map((name) => `packages/${name}/README.md`);
  const docs = (await readdir(`${workspace}docs`, { recursive: true })).filter((path) => path.endsWith('.md'));
  const ours = docs.filter((path) => !/^(?:adr|reference)\b|node_modules/u.test(path)).map((path) => `docs/${path}`);
  const paths = ['README.md', 'drizzle/README.md', ...packages, ...ours].filter((path) =>
    existsSync(`${workspace}${path}`),
  );
  return new Map(
    await Promise.all(
      paths.map(async (path): Promise<[string, string]> => [path, await readFile(`${workspace}${path}`, 'utf8')]),
    ),
  );
}

/** The packages that a page lets npm install, or npx fetch. */
function installedBy(text: string): ReadonlySet<string> {
  const lines = [...text.matchAll(/\bnpm (?:install|i) (?<names>[^\n#`]+)|\bnpx -p (?<name>\S+)/gu)];
  return new Set(lines.flatMap(({ groups }) => (groups?.['names'] ?? groups?.['name'] ?? '').trim().split(/\s+/u)));
}

/** The packages that a page's TypeScript blocks import. */
function importedBy(text: string): readonly string[] {
  const blocks = [...text.matchAll(/^```ts\n(?<code>.*?)^```$/gmsu)].map(({ groups }) => groups?.['code'] ?? '');
  const names = [...blocks.join('').matchAll(/ from '(?<name>[^.'][^']*)';/gu)];
  const packages = names.map(({ groups }) => /^(?:@[^/]+\/)?[^/]+/u.exec(groups?.['name'] ?? '')?.[0] ?? '');
  return [...new Set(packages)].filter((name) => !isBuiltin(name));
}

// Worker and database once imported packages that only another package's installation happened to bring.
it('a page that says what to install names every package that its programs import', async () => {
  const missing: string[] = [];
  for (const [path, text] of await pages()) {
    const installed = installedBy(text);
    if (installed.size === 0 || path.startsWith('docs/migrate/')) continue;
    for (const name of importedBy(text)) if (!installed.has(name)) missing.push(`${path}: ${name}`);
  }
  expect(missing).toEqual([]);
});

// Without @spillway/cli beside it, `npx spillway` runs a package of another publisher that has this name.
it('a page that runs `npx spillway` installs @spillway/cli', async () => {
  const found = [...(await pages())].filter(([, text]) => text.includes('npx spillway'));
  expect(found.length).toBeGreaterThan(4);
  expect(found.filter(([, text]) => !installedBy(text).has('@spillway/cli')).map(([path]) => path)).toEqual([]);
});
