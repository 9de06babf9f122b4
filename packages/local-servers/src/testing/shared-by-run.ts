import { existsSync, watch } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pollUntil, type Server } from '../server.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Folder that the test files of one run have in common. */
    readonly spillwayRun: string;
  }
}

/*
 * What the test files of one run share: a Postgres, and turns. Files run in several processes, and
 * have a folder in common. Vitest's main process watches it: the first file that needs Postgres writes WANTED, the main
 * process starts the server and writes ANSWER. So the server lives as long as the run, and a run that needs none starts none.
 */
const WANTED = 'postgres.wanted';
const ANSWER = 'postgres.json';
/** Longest wait for Postgres or a turn, in ms: less than a hook may take. */
const DEADLINE_MS = 170_000;

/** What the main process needs of the server. */
type StartedPostgres = Pick<Server, 'url' | 'stop'>;

/** The main process's side. */
export interface SharedPostgres {
  /** Drops the template databases: the code that made them may have changed (watch mode). */
  forgetTemplates(): Promise<void>;
  /** Stops the server, if one was started. */
  close(): Promise<void>;
}

type Answer = { readonly url: string } | { readonly message: string };

/** Starts Postgres when the first test file of the run asks for it. */
export function servePostgres(folder: string, start: () => Promise<StartedPostgres>): SharedPostgres {
  let started: Promise<StartedPostgres | undefined> | undefined;
  const watcher = watch(folder, () => {
    if (started === undefined && existsSync(path.join(folder, WANTED))) started = startAndAnswer(folder, start);
  });
  watcher.unref();
  const forgetTemplates = async (): Promise<void> => {
    const server = await started;
    if (server === undefined) return;
    const { dropTemplates } = await import('./template-database.ts');
    await dropTemplates(server.url, runOf(folder));
  };
  return {
    forgetTemplates,
    close: async () => {
      watcher.close();
      // An external Postgres stays, and must not collect what we leave behind.
      await forgetTemplates().catch(() => {});
      await (await started)?.stop();
    },
  };
}

async function startAndAnswer(
  folder: string,
  start: () => Promise<StartedPostgres>,
): Promise<StartedPostgres | undefined> {
  const answer = async (value: Answer): Promise<void> => {
    await writeFile(path.join(folder, `${ANSWER}.new`), JSON.stringify(value));
    await rename(path.join(folder, `${ANSWER}.new`), path.join(folder, ANSWER));
  };
  try {
    const server = await start();
    await answer({ url: server.url });
    return server;
  } catch (error) {
    await answer({ message: error instanceof Error ? error.message : String(error) });
    return undefined;
  }
}

/**
 * URL of the run's Postgres, which files share, each with databases of its own.
 *
 * @throws Error why it could not be started
 */
export async function sharedPostgres(folder: string): Promise<string> {
  await writeFile(path.join(folder, WANTED), '');
  const file = path.join(folder, ANSWER);
  if (!(await pollUntil(() => existsSync(file), DEADLINE_MS))) throw new Error(`no Postgres after ${DEADLINE_MS} ms`);
  const answer: Answer = JSON.parse(await readFile(file, 'utf8'));
  if ('message' in answer) throw new Error(`no Postgres for this test file: ${answer.message}`);
  return answer.url;
}

/**
 * Waits until no other process has this turn. A process that dies with it fails the others at the deadline.
 *
 * @returns ends the turn
 */
export async function takeTurn(
  folder: string,
  name: string,
  deadlineMs: number = DEADLINE_MS,
): Promise<() => Promise<void>> {
  const file = path.join(folder, `${name}.turn`);
  const take = async (): Promise<boolean> => {
    try {
      await writeFile(file, '', { flag: 'wx' });
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
      throw error;
    }
  };
  if (!(await pollUntil(take, deadlineMs))) throw new Error(`${file} is there after ${deadlineMs} ms`);
  return () => rm(file);
}

/** Names the run in what must not outlive it. */
export function runOf(folder: string): string {
  return path.basename(folder).replaceAll(/\W/gu, '').toLowerCase().slice(-8);
}
