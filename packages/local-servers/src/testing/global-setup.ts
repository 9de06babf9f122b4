import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { servePostgres } from './shared-by-run.ts';

/** Files in memory, on Linux. */
const MEMORY = '/dev/shm';
/** What must be free there and in the machine, in bytes: the servers of a run need less than a fifth of it. */
const NEEDED = 4 * 1024 ** 3;

/** vitest's `globalSetup`: lets all test files of a run share one Postgres, and starts none until a file needs it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Servers write and delete thousands of small files in a run: in memory that costs a tenth.
  if (await hasRoom(MEMORY)) process.env['SPILLWAY_WORK_DIRECTORY_ROOT'] ??= MEMORY;
  const folder = await mkdtemp(path.join(tmpdir(), 'spillway-tests-'));
  const postgres = servePostgres(folder, async () => {
    const { startPostgres } = await import('../postgres/start-postgres.ts');
    return startPostgres({ args: ['-c', 'max_connections=500', '-c', 'max_wal_size=256MB'] });
  });
  project.provide('spillwayRun', folder);
  project.onTestsRerun(postgres.forgetTemplates);
  return async () => {
    await postgres.close();
    await rm(folder, { recursive: true, force: true });
  };
}

async function hasRoom(directory: string): Promise<boolean> {
  const found = await statfs(directory).catch(() => undefined);
  return found !== undefined && found.bavail * found.bsize >= NEEDED && freemem() >= NEEDED;
}
