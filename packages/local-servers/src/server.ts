import path from 'node:path';
import { LocalServerError } from './errors.ts';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { readConfig } from './config.ts';
import { setTimeout as delay } from 'node:timers/promises';

/** A server that is up and answering. All operations resolve when their effect can be seen. */
export interface Server {
  readonly host: string;
  readonly port: number;
  /** Connection string, usable verbatim (`redis-cli -u`, `psql`, any client). */
  readonly url: string;
  /** Process id, for a server that runs as a local process and is up. */
  readonly pid: number | undefined;
  /** Freezes it (SIGSTOP, docker pause): connections stay open and get no answer. */
  pause(): Promise<void>;
  /** Undoes {@link Server.pause}. */
  resume(): Promise<void>;
  /** SIGKILL / docker kill, as a crash would. */
  kill(): Promise<void>;
  /** Stops it if it runs and starts it again: same port, same data. Resolves when it answers again. */
  restart(): Promise<void>;
  /** Stops it for good and removes throwaway data. Doing it twice is the same as once. */
  stop(): Promise<void>;
}

/** How a server is recognised as ready. */
export interface Readiness {
  /** For messages: "Redis", "Postgres". */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** How long a start may take. */
  readonly deadlineMs: number;
  /** Whether the server answers, and it is ours and not a stranger on the same port. Throws when it can't be reached. */
  readonly answers: (pid: number | undefined) => Promise<boolean>;
}

/** A {@link Server} made of something that runs it and something that knows when it is ready. */
export class ManagedServer implements Server {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly #runner: Runner;
  readonly #readiness: Readiness;
  #stopped: Promise<void> | undefined;

  constructor(runner: Runner, readiness: Readiness) {
    this.#runner = runner;
    this.#readiness = readiness;
    this.host = readiness.host;
    this.port = readiness.port;
    this.url = readiness.url;
  }

  get pid(): number | undefined {
    return this.#runner.pid;
  }

  /**
   * Launches it and waits until it answers.
   *
   * @throws LocalServerError `port_taken`, `start_failed`; nothing is left running then
   */
  async start(): Promise<void> {
    try {
      await this.#runner.start();
      await this.#untilReady();
    } catch (error) {
      await this.#runner.dispose();
      throw error;
    }
  }

  async #untilReady(): Promise<void> {
    const { name, port, deadlineMs, answers } = this.#readiness;
    let lastProblem: unknown;
    let exited = false;
    const ready = await pollUntil(async () => {
      exited = await this.#runner.hasExited();
      if (exited) return true;
      try {
        return await answers(this.#runner.pid);
      } catch (error) {
        lastProblem = error;
        return false;
      }
    }, deadlineMs);
    if (ready && !exited) return;
    const output = await this.#runner.output();
    if (output.some((line) => /address already in use|port is already allocated/i.test(line))) {
      throw new LocalServerError('port_taken', `${name} cannot listen on port ${port}: something else does`, {
        output,
      });
    }
    const what = exited ? 'ended before it answered' : `did not answer within ${deadlineMs} ms`;
    throw new LocalServerError('start_failed', `${name} on port ${port} ${what}`, { output, cause: lastProblem });
  }

  async pause(): Promise<void> {
    await this.#runner.pause();
  }

  async resume(): Promise<void> {
    await this.#runner.resume();
  }

  async kill(): Promise<void> {
    await this.#runner.kill();
  }

  async restart(): Promise<void> {
    const { name, port } = this.#readiness;
    if (this.#stopped !== undefined)
      throw new LocalServerError('not_running', `${name} on port ${port} was stopped for good`);
    await this.#runner.halt();
    await this.#runner.start();
    await this.#untilReady();
  }

  async stop(): Promise<void> {
    this.#stopped ??= this.#runner.dispose();
    await this.#stopped;
  }
}

/**
 * One server process and the directory it works in, whatever runs it (a local process, a container).
 *
 * States: idle → `start` → running → `halt` or `kill` or a crash → idle → `start` again on the same data.
 * `dispose` ends it for good from any state and removes what was only made for it.
 */
export interface Runner {
  /** Process id on this machine while running; undefined in containers and when nothing runs. */
  readonly pid: number | undefined;
  /** Launches the process. Resolves when it exists, not when it answers. */
  start(): Promise<void>;
  /** Whether the process that was last started has ended. */
  hasExited(): boolean | Promise<boolean>;
  /** Last lines that the process printed, oldest first. */
  output(): Promise<readonly string[]>;
  /** Freezes the process and its children; connections stay open and silent. */
  pause(): Promise<void>;
  /** Undoes {@link Runner.pause}. */
  resume(): Promise<void>;
  /** Ends the process and its children at once, as a crash would. */
  kill(): Promise<void>;
  /** Stops cleanly, frozen or not, and keeps the data for another start. */
  halt(): Promise<void>;
  /** Stops cleanly and removes throwaway data. Doing it twice is the same as once. */
  dispose(): Promise<void>;
}

/** The directory that belongs to one server. */
export interface WorkDirectory {
  /** `data/` and `server.log` are inside. */
  readonly directory: string;
  /** The server's own data directory. Not created here, because initdb wants to do that itself. */
  readonly dataDirectory: string;
  /** Where the server's output goes; emptied at each start. */
  readonly logFile: string;
  /** Whether the directory was made for this run only and goes away with it. */
  readonly throwaway: boolean;
}

/** The directory in which servers that are given none keep their files. */
export function workDirectoryRoot(): string {
  return readConfig().workDirectoryRoot ?? tmpdir();
}

/**
 * Makes the working directory of one server: the given directory, which stays, or a new temporary one, which does not.
 *
 * @param name part of the temporary directory's name, for people who look into {@link workDirectoryRoot}
 */
export async function openWorkDirectory(name: string, directory: string | undefined): Promise<WorkDirectory> {
  const throwaway = directory === undefined;
  const workDirectory =
    directory === undefined
      ? await mkdtemp(path.join(workDirectoryRoot(), `spillway-${name}-`))
      : path.resolve(directory);
  await mkdir(workDirectory, { recursive: true });
  return {
    directory: workDirectory,
    dataDirectory: path.join(workDirectory, 'data'),
    logFile: path.join(workDirectory, 'server.log'),
    throwaway,
  };
}

/** Removes a temporary working directory with its content, and leaves any other as it is. */
export async function closeWorkDirectory(workDirectory: WorkDirectory): Promise<void> {
  if (workDirectory.throwaway) await rm(workDirectory.directory, { recursive: true, force: true });
}

/**
 * Asks until the answer is yes or time is up, waiting a little longer between tries each time (5 to 50 ms).
 * The timer keeps the event loop alive, which handles of guarded servers on purpose do not.
 *
 * @returns whether the answer was yes before `deadlineMs` passed
 */
export async function pollUntil(ask: () => boolean | Promise<boolean>, deadlineMs: number): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  for (let waitMs = 5; ; waitMs = Math.min(50, waitMs * 1.5)) {
    // eslint-disable-next-line no-await-in-loop -- each try depends on the one before
    if (await ask()) return true;
    if (performance.now() >= end) return false;
    // eslint-disable-next-line no-await-in-loop -- the pause between tries
    await delay(waitMs);
  }
}
