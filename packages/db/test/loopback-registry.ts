import { execFile } from 'node:child_process';
import { readFile, realpath } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** A package that lies in a folder of modules. */
interface Installed {
  readonly folder: string;
  readonly manifest: Manifest;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/**
 * Serves the packages that a package of this repository depends on, and theirs, from where they are installed, as a registry of npm
 * would: an install needs no network then.
 * @param folder of the package; what is in the workspace itself is left out
 */
export async function startLoopbackRegistry(folder: string): Promise<{ readonly url: string; close(): void }> {
  const packages = new Map<string, Installed>();
  await collect(folder, packages);
  const server = createServer((request, response) => {
    void answer(decodeURIComponent(request.url ?? '').slice(1)).then(
      (body) => response.end(body),
      () => response.writeHead(404).end('{}'),
    );
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;

  async function answer(path: string): Promise<string | Buffer> {
    const isTarball = path.endsWith('/-.tgz');
    const found = packages.get(isTarball ? path.slice(0, -'/-.tgz'.length) : path);
    if (found === undefined) throw new Error(`${path} is not installed`);
    if (isTarball) return pack(found.folder);
    const { name, version } = found.manifest;
    // What is optional was maybe not installed: it is not asked for.
    const manifest = { ...found.manifest, optionalDependencies: {}, dist: { tarball: `${url}/${name}/-.tgz` } };
    return JSON.stringify({ name, 'dist-tags': { latest: version }, versions: { [version]: manifest } });
  }
  return { url, close: () => void server.close() };
}

async function collect(folder: string, packages: Map<string, Installed>): Promise<void> {
  const { dependencies = {} } = await manifestIn(folder);
  for (const name of Object.keys(dependencies)) {
    if (packages.has(name) || name.startsWith('@spillway/')) continue;
    const found = await find(name, folder);
    packages.set(name, { folder: found, manifest: await manifestIn(found) });
    await collect(found, packages);
  }
}

/** Where a package finds another: in the nearest folder of modules that has it. */
async function find(name: string, from: string): Promise<string> {
  const candidate = await realpath(join(from, 'node_modules', name)).catch(() => undefined);
  if (candidate !== undefined) return candidate;
  if (from === dirname(from)) throw new Error(`${name} is not installed`);
  return find(name, dirname(from));
}

async function manifestIn(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
}

/** With the content of each file: pnpm links equal files to one, and npm leaves links out. */
async function pack(folder: string): Promise<Buffer> {
  const args = [
    '-czf',
    '-',
    '--hard-dereference',
    '--exclude=./node_modules',
    '--transform=s,^\\.,package,',
    '-C',
    folder,
    '.',
  ];
  const { stdout } = await execute('tar', args, { encoding: 'buffer', maxBuffer: 256 * 1_024 * 1_024 });
  return stdout;
}
