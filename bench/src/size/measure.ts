import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import { build } from 'esbuild';
import { markdownTable } from '../figures.ts';

/** What an import costs its bundle, and its packages an installation. */
export interface Size {
  /** All that the modules export, bundled and minified, in bytes. */
  readonly minified: number;
  /** The same through Brotli, in bytes. */
  readonly compressed: number;
  /** Packages that npm installs for it, itself included, the framework apart. */
  readonly packages: number;
}

/** A name for what is measured, and the modules that are imported for it. */
export interface Subject {
  readonly name: string;
  readonly modules: readonly string[];
  /** What its documentation has users install beside it: the client of Redis. @default none */
  readonly beside?: readonly string[];
}

/** What the application has anyway, or chooses by itself. */
const external = [
  'hono',
  'hono/*',
  'express',
  'fastify',
  'ioredis',
  'redis',
  '@upstash/redis',
  '@opentelemetry/api',
  'prom-client',
];

/** Both the manifest of this workspace and its `node_modules` are two levels up. */
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Measures what is built: for ours, run `pnpm build` before. */
export async function sizeOf({ modules, beside = [] }: Subject): Promise<Size> {
  const { outputFiles } = await build({
    stdin: { contents: modules.map((name) => `export * from '${name}';`).join('\n'), resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    platform: 'node',
    format: 'esm',
    external,
    logLevel: 'error',
  });
  const [{ contents } = { contents: new Uint8Array() }] = outputFiles;
  const packages = [...modules.map(packageOf), ...beside];
  return {
    minified: contents.length,
    compressed: brotliCompressSync(contents).length,
    packages: installed(new Set(packages)),
  };
}

function packageOf(module: string): string {
  return module.split('/', module.startsWith('@') ? 2 : 1).join('/');
}

/** How many packages these bring, by what their manifests depend on. */
function installed(names: ReadonlySet<string>): number {
  const seen = new Map<string, string>();
  const visit = (name: string, from: string): void => {
    const folder = folderOf(name, from);
    if (seen.has(folder)) return;
    seen.set(folder, name);
    for (const dependency of Object.keys(manifestIn(folder)['dependencies'] ?? {})) {
      // Types are no part of a program.
      if (!dependency.startsWith('@types/')) visit(dependency, folder);
    }
  };
  for (const name of names) visit(name, root);
  return seen.size;
}

/** Where a package is, as seen from another one: above it, in one of the `node_modules`. */
function folderOf(name: string, from: string): string {
  for (const folder of createRequire(path.join(from, 'package.json')).resolve.paths(name) ?? []) {
    const candidate = path.join(folder, name, 'package.json');
    try {
      return path.dirname(createRequire(candidate).resolve(candidate));
    } catch {
      // It is further up.
    }
  }
  throw new Error(`${name} is not installed for ${from}`);
}

function manifestIn(folder: string): Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a manifest is what npm says it is
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as ReturnType<typeof manifestIn>;
}

/** The entries of one of our packages, as its manifest exports them: `@spillway/limiter/hono`. */
export function entriesOf(name: string): readonly string[] {
  const entries = Object.keys(manifestIn(folderOf(name, root))['exports'] ?? {});
  return entries.filter((entry) => !entry.endsWith('.json')).map((entry) => path.posix.join(name, entry));
}

/** What each entry and each peer takes. */
export type Sizes = Readonly<Record<string, Size>>;

/** An entry may grow by this share before its new size must be committed. */
const TOLERANCE = 0.03;

/** What has grown, or was never measured; one sentence for each. */
export function problemsOf(kept: Sizes, measured: Sizes, entries: readonly string[]): string[] {
  return entries.flatMap((name) => {
    const [before, now] = [kept[name], measured[name]];
    if (before === undefined || now === undefined) return [`${name} has no limit in bench/sizes.json`];
    const grown = (['minified', 'compressed'] as const)
      .filter((figure) => now[figure] > before[figure] * (1 + TOLERANCE))
      .map((figure) => `${name}, ${figure}: ${before[figure]} → ${now[figure]} bytes, more than ${TOLERANCE * 100} %`);
    if (now.packages > before.packages) grown.push(`${name}: ${before.packages} → ${now.packages} packages`);
    return grown;
  });
}

function kilobytes(bytes: number): string {
  return (bytes / 1_000).toFixed(bytes < 10_000 ? 1 : 0);
}

/** The table of docs/compare.md. */
export function tableOf(sizes: Sizes): string {
  return markdownTable(
    [
      ['all that it exports', 'left'],
      ['minified, kB', 'right'],
      ['with Brotli, kB', 'right'],
      ['packages', 'right'],
    ],
    Object.entries(sizes).map(([name, { minified, compressed, packages }]) => [
      name.startsWith('@spillway/') ? `\`${name}\`` : name,
      kilobytes(minified),
      kilobytes(compressed),
      String(packages),
    ]),
  );
}
