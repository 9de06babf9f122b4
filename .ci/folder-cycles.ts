import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/*
 * Finds folders that import each other. In each folder, its files and folders are nodes: an import between two files
 * counts as an edge between the children of their nearest common folder that hold them. A group of nodes that lead to
 * each other has no order in which it could be read, and is one room under several names. Types count: a reader follows
 * them too. Tests don't: they may import anything.
 */

/** Children of one folder that lead to each other. */
export interface FolderCycle {
  readonly folder: string;
  readonly members: readonly string[];
  /** One import for each edge of the group, `from → to`. */
  readonly imports: readonly string[];
}

const IMPORT = /^(?:import|export)\b[^'"`;]*?\bfrom '(\.[^']+)'|^import '(\.[^']+)'|\bimport\('(\.[^']+)'\)/gmu;

/** Paths of the relative imports of a source file. */
export function importsOf(file: string, text: string): readonly string[] {
  return [...text.matchAll(IMPORT)].map(([, from, bare, dynamic]) =>
    normalize(join(dirname(file), from ?? bare ?? dynamic ?? '')),
  );
}

/** The cycles among files, each a path from the repository's root, with what they import. */
export function folderCycles(imports: ReadonlyMap<string, readonly string[]>): readonly FolderCycle[] {
  const folders = new Map<string, Map<string, Map<string, string>>>();
  for (const [from, targets] of imports) {
    for (const to of targets) {
      if (!imports.has(to) || to === from) continue;
      const [a, b] = [from.split('/'), to.split('/')];
      const depth = a.findIndex((part, index) => part !== b[index]);
      const nodes = folders.get(a.slice(0, depth).join('/')) ?? new Map<string, Map<string, string>>();
      folders.set(a.slice(0, depth).join('/'), nodes);
      const edges = nodes.get(a[depth] ?? '') ?? new Map<string, string>();
      nodes.set(a[depth] ?? '', edges.set(b[depth] ?? '', `${from} → ${to}`));
    }
  }
  return [...folders].flatMap(([folder, nodes]) => cyclesOf(folder, nodes));
}

function cyclesOf(folder: string, nodes: ReadonlyMap<string, ReadonlyMap<string, string>>): readonly FolderCycle[] {
  const reached = new Map([...nodes.keys()].map((node) => [node, reachable(nodes, node)]));
  const seen = new Set<string>();
  const cycles = [];
  for (const [node, others] of reached) {
    if (seen.has(node) || !others.has(node)) continue;
    const members = [...others].filter((other) => reached.get(other)?.has(node)).toSorted();
    for (const member of members) seen.add(member);
    const imports = members.flatMap((from) =>
      [...(nodes.get(from) ?? [])].filter(([to]) => members.includes(to)).map(([, edge]) => edge),
    );
    cycles.push({ folder, members, imports });
  }
  return cycles;
}

function reachable(nodes: ReadonlyMap<string, ReadonlyMap<string, string>>, start: string): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [start];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const next of nodes.get(node)?.keys() ?? []) {
      if (found.has(next)) continue;
      found.add(next);
      open.push(next);
    }
  }
  return found;
}

/** Sources that are tracked, and what each imports. */
export function trackedImports(root: string): ReadonlyMap<string, readonly string[]> {
  const files = execFileSync('git', ['ls-files', '*.ts', '*.tsx'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
  // Git still lists a file that was removed a moment ago.
  const sources = files.filter((file) => !/\.test(?:-d)?\.tsx?$/u.test(file) && existsSync(join(root, file)));
  return new Map(sources.map((file) => [file, importsOf(file, readFileSync(join(root, file), 'utf8'))]));
}
