import { statfs } from 'node:fs/promises';
import { freemem } from 'node:os';
import type { TestProject } from 'vitest/node';
import { type Broker, openBroker } from './broker.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Socket of the broker that lends servers to test files. */
    readonly spillwayBroker: string;
  }
}

/** Files in memory, on Linux. */
const MEMORY = '/dev/shm';
/** What must be free there and in the machine, in bytes: the servers of a run need less than a fifth of it. */
const NEEDED = 4 * 1024 ** 3;

let broker: Broker | undefined;

/** vitest's `globalSetup`: lets all test files of a run share one Postgres and a few Redis. Starts neither. */
export async function setup(project: TestProject): Promise<void> {
  // Servers write and delete thousands of small files in a run: in memory that costs a tenth.
  if (await hasRoom(MEMORY)) process.env['SPILLWAY_WORK_DIRECTORY_ROOT'] ??= MEMORY;
  const opened = await openBroker();
  broker = opened;
  project.provide('spillwayBroker', opened.address);
  project.onTestsRerun(() => opened.reset());
}

/** Stops what the run has started. */
export async function teardown(): Promise<void> {
  await broker?.close();
}

async function hasRoom(directory: string): Promise<boolean> {
  const found = await statfs(directory).catch(() => undefined);
  return found !== undefined && found.bavail * found.bsize >= NEEDED && freemem() >= NEEDED;
}
