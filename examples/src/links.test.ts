import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
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

/** A link as it is written, `target` without the part behind `#`, which is `anchor`. */
interface Link {
  readonly target: string;
  readonly anchor: string;
}

/** Links to files and headings, without those to the web. */
function linksOf(text: string): readonly Link[] {
  const found = [...text.matchAll(/\]\((?<link>[^)\s]+)\)/gu)].map((match) => match.groups?.['link'] ?? '');
  return found
    .filter((link) => !/^[a-z]+:/u.test(link))
    .map((link) => ({
      target: link.replace(/#.*$/u, ''),
      anchor: /#(?<anchor>.*)$/u.exec(link)?.groups?.['anchor'] ?? '',
    }));
}

/** A heading's anchor, as GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');

/** The anchors of a page's headings. */
function anchorsOf(text: string): ReadonlySet<string> {
  const prose = text.replaceAll(/^```.*?^```/gmsu, '');
  const headings = [...prose.matchAll(/^#{1,6} (?<heading>.+)$/gmu)].map((match) => match.groups?.['heading'] ?? '');
  return new Set(headings.map(anchorOf));
}

/** Paths of this repository in code style, such as `packages/limiter/lua/`; not those with a placeholder. */
function pathsOf(text: string): readonly string[] {
  const top = 'packages|bench|deploy|docs|drizzle|examples|start|\\.ci';
  const found = [...text.matchAll(new RegExp(`\`(?<path>(?:${top})/[\\w./@-]*)\``, 'gu'))];
  return found
    .map((match) => match.groups?.['path'] ?? '')
    .filter((path) => !path.includes('NAME') && !/(?:dist|reference)\b/u.test(path));
}

const read = async (page: string): Promise<string> => readFile(join(workspace, page), 'utf8');

// The feature table links each claim to the test that shows it: a test that moves must take its link along.
it('every link between the pages, and from them to the code, leads somewhere', async () => {
  const broken: string[] = [];
  for (const page of await pages()) {
    for (const { target, anchor } of linksOf(await read(page))) {
      const path = target === '' ? page : relative(workspace, resolve(workspace, dirname(page), target));
      if (!existsSync(join(workspace, path))) broken.push(`${page}: ${path}`);
      else if (anchor !== '' && path.endsWith('.md') && !anchorsOf(await read(path)).has(anchor)) {
        broken.push(`${page}: ${path} has no heading for #${anchor}`);
      }
    }
  }
  expect(broken).toEqual([]);
});

// Decisions name the files of their time.
it('every path that a page names is there', async () => {
  const missing: string[] = [];
  for (const page of await pages()) {
    if (page.startsWith('docs/adr/') || page.startsWith('docs/scale-test/')) continue;
    for (const path of pathsOf(await read(page))) {
      if (!existsSync(join(workspace, path))) missing.push(`${page}: ${path}`);
    }
  }
  expect(missing).toEqual([]);
});
