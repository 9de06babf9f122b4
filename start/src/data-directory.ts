import { readdir, rm, writeFile, link, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isRunning, makeFolder, processIdentity, type ProcessIdentity } from '@spillway/runtime';

/** A directory that is ours alone until the lock is released. */
export interface DataDirectory {
  readonly path: string;
  readonly redis: string;
  readonly postgres: string;
  readonly lock: Lock;
}

/** Says that a directory is ours, and may be wiped with `--fresh`. */
const MARKER = '.spillway';
const LOCK = 'lock';

/**
 * Opens the directory in which the servers keep their data; makes it where it is missing.
 * @param fresh whether to wipe it first
 * @throws {DataDirectoryError} `in_use` while another copy runs on it; `not_ours` when it holds something without the
 *   marker that we leave, so that a mistyped path never deletes other files; `not_writable`.
 */
export async function openDataDirectory(directory: string, fresh: boolean): Promise<DataDirectory> {
  const lock = await enter(directory).catch((error: unknown) => {
    if (error instanceof DataDirectoryError || !(error instanceof Error && 'syscall' in error)) throw error;
    throw new DataDirectoryError('not_writable', directory, `cannot be written (${error.message})`);
  });
  if (fresh) await wipe(directory);
  return {
    path: directory,
    redis: path.join(directory, 'redis'),
    postgres: path.join(directory, 'postgres'),
    lock,
  };
}

async function enter(directory: string): Promise<Lock> {
  await makeFolder(directory);
  const entries = await readdir(directory);
  if (!entries.includes(MARKER)) {
    if (entries.length > 0) throw new DataDirectoryError('not_ours', directory, 'holds files that are not ours');
    await writeFile(path.join(directory, MARKER), 'Data of a local Spillway. `npx pnpm@12 start --fresh` wipes it.\n');
  }
  return takeLock(path.join(directory, LOCK));
}

async function wipe(directory: string): Promise<void> {
  const entries = (await readdir(directory)).filter((entry) => entry !== MARKER && entry !== LOCK);
  await Promise.all(entries.map((entry) => rm(path.join(directory, entry), { recursive: true, force: true })));
}

/** Keeps a second copy out of a directory. */
export interface Lock {
  /** Writes down the servers that work in the directory, for the next start after a crash of this one. */
  note(servers: readonly number[]): Promise<void>;
  release(): Promise<void>;
}

/** What the lock file holds. */
interface Holder {
  readonly owner: ProcessIdentity;
  readonly servers: readonly ProcessIdentity[];
}

/** A killed copy's servers are stopped by their guards; they get this long, in ms. */
const GUARD_MS = 10_000;

const POLL_MS = 50;

/**
 * Takes the lock, over from a dead copy if need be. It is there with its content at once (`link` is atomic), so that
 * nobody reads half of it. After a crash it waits until the dead copy's servers are gone: two Redis on one append-only
 * file would destroy it.
 * @throws {DataDirectoryError} `in_use`
 */
async function takeLock(file: string): Promise<Lock> {
  const owner = processIdentity(process.pid);
  const draft = `${file}.${process.pid}`;
  await write(draft, { owner, servers: [] });
  try {
    for (;;) {
      if (await placed(draft, file)) break;
      await clearStale(file);
    }
  } finally {
    await rm(draft, { force: true });
  }
  return {
    note: async (servers) => {
      await write(draft, { owner, servers: servers.map(processIdentity) });
      await rename(draft, file);
    },
    release: () => rm(file, { force: true }),
  };
}

async function placed(draft: string, file: string): Promise<boolean> {
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, 'code') === 'EEXIST') return false;
    throw error;
  }
}

/** Removes a dead copy's lock, or finds that its owner lives. */
async function clearStale(file: string): Promise<void> {
  const holder = await read(file);
  if (holder === 'none') return;
  refuseIfAlive(file, holder);
  await waitForServers(file, holder);
  // Aside first, then looked at again: between reading and removing, another copy may have put its own in place.
  const aside = `${file}.stale.${process.pid}`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  const moved = await read(aside);
  try {
    refuseIfAlive(file, moved);
  } catch (error) {
    await link(aside, file).catch(() => undefined);
    throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

function refuseIfAlive(file: string, holder: Holder | 'none'): void {
  if (holder === 'none' || !isRunning(holder.owner)) return;
  const { pid, born } = holder.owner;
  // In a container every start may have the same number; where nothing tells us apart from the last one, it is dead.
  if (pid === process.pid && born === '') return;
  throw new DataDirectoryError('in_use', file, `another copy of Spillway (process ${pid}) uses it`);
}

async function waitForServers(file: string, { servers }: Holder): Promise<void> {
  const end = performance.now() + GUARD_MS;
  for (let left = servers.filter(isRunning); left.length > 0; left = left.filter(isRunning)) {
    if (performance.now() > end) {
      const pids = left.map(({ pid }) => pid).join(', ');
      throw new DataDirectoryError('in_use', file, `servers of a copy that crashed still run: process ${pids}`);
    }
    await delay(POLL_MS);
  }
}

async function write(file: string, holder: Holder): Promise<void> {
  await writeFile(file, `${JSON.stringify(holder)}\n`);
}

/** What can't be read was not written by us, or by a disk that was full: it locks nothing. */
async function read(file: string): Promise<Holder | 'none'> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    return isHolder(value) ? value : unknownHolder;
  } catch (error) {
    return error instanceof SyntaxError ? unknownHolder : 'none';
  }
}

/** No process has this number. */
const unknownHolder: Holder = { owner: { pid: 2 ** 30, born: '' }, servers: [] };

function isHolder(value: unknown): value is Holder {
  if (typeof value !== 'object' || value === null || !('owner' in value && 'servers' in value)) return false;
  return isIdentity(value.owner) && Array.isArray(value.servers) && value.servers.every(isIdentity);
}

function isIdentity(value: unknown): value is ProcessIdentity {
  if (typeof value !== 'object' || value === null || !('pid' in value && 'born' in value)) return false;
  return Number.isInteger(value.pid) && typeof value.born === 'string';
}

/**
 * Why a data directory can't be used:
 * - `in_use`: another copy runs on it, or what a crashed one left behind still does.
 * - `not_ours`: it holds something, and not ours. It might be wiped one day, so it must be.
 * - `not_writable`: it can't be made, or nothing can be written in it.
 */
export type DataDirectoryErrorReason = 'in_use' | 'not_ours' | 'not_writable';

/** The data directory can't be used; nothing in it was touched. */
export class DataDirectoryError extends Error {
  readonly code = 'data_directory';
  override readonly name = 'DataDirectoryError';
  readonly reason: DataDirectoryErrorReason;
  readonly path: string;

  constructor(reason: DataDirectoryErrorReason, directory: string, detail: string) {
    const way = reason === 'in_use' ? 'Stop it, or set SPILLWAY_DATA_DIR' : 'Set SPILLWAY_DATA_DIR';
    super(`${directory}: ${detail}. ${way} to another directory.`);
    this.reason = reason;
    this.path = directory;
  }
}
