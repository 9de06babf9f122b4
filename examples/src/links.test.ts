import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const workspace = fileURLToPath(new URL('../../', import.meta.url));

async function pages(): Promise<readonly string[]> {
  const inDocs = await readdir(join(workspace, 'docs'), { recursive: true });
  const docs = inDocs.filter((path) => path.endsWith('.md') && !path.includes('node_modules'));
  const packages = (await readdir(join(workspace, 'packages'))).map((name) => join('packages', name, 'README.md'));
  const readmes = packages.filter((path) => existsSync(join(workspace, path)));
  const atTheTop = ['README.md', 'AGENTS.md', 'CONTRIBUTING.md', 'SECURITY.md', 'llms.txt'];
  return [...atTheTop, 'bench/README.md', 'drizzle/README.md', ...readmes, ...docs.map((path) => join('docs', path))];
}

/** Links to other files, without those to the web and those within a page. */
async function linksOf(page: string): Promise<readonly string[]> {
  const text = await readFile(join(workspace, page), 'utf8');
  const found = [...text.matchAll(/\]\((?<target>[^)\s]+)\)/gu)].map((match) => match.groups?.['target'] ?? '');
  return found.filter((target) => !/^(?:[a-z]+:|#)/u.test(target)).map((target) => target.replace(/#.*$/u, ''));
}

// The feature table links each claim to the test that shows it: a test that moves must take its link along.
it('every link between the pages, and from them to the code, leads somewhere', async () => {
  const broken: string[] = [];
  for (const page of await pages()) {
    for (const target of await linksOf(page)) {
      const path = resolve(workspace, dirname(page), target);
      const there = await stat(path).then(
        () => true,
        () => false,
      );
      if (!there) broken.push(`${page}: ${relative(workspace, path)}`);
    }
  }
  expect(broken).toEqual([]);
});
