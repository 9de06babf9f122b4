import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { LocalServerError } from './errors.ts';
import { closeWorkDirectory, pollUntil, type Runner, type WorkDirectory } from './server.ts';

/** How much of a server's log is worth quoting in an error. */
const quotedLines = 15;

/** What to run, and where. */
export interface LocalRunnerOptions {
  readonly workDirectory: WorkDirectory;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** What asks the program to stop cleanly. @default 'TERM' */
  readonly stopSignal?: 'TERM' | 'INT';
  /** How long a clean stop may take before SIGKILL. @default 3000 */
  readonly stopGraceMs?: number;
  /** Runs before each start, e.g. to make the data directory. */
  readonly prepare?: () => Promise<void>;
}

/** A server as a process of this machine, watched over by a guard that outlives us. */
export class LocalRunner implements Runner {
  readonly #options: LocalRunnerOptions;
  #guard: Supervisor | undefined;

  constructor(options: LocalRunnerOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#guard?.hasExited() === false ? this.#guard.serverPid : undefined;
  }

  async start(): Promise<void> {
    const { workDirectory, command, stopSignal = 'TERM', stopGraceMs = 3000, prepare } = this.#options;
    await this.halt();
    await prepare?.();
    await rm(this.#keepFile, { force: true });
    this.#guard = await startSupervised({
      command,
      workingDirectory: workDirectory.directory,
      logFile: workDirectory.logFile,
      stopSignal,
      graceTenths: Math.ceil(stopGraceMs / 100),
      temporaryDirectory: workDirectory.throwaway ? workDirectory.directory : undefined,
    });
  }

  hasExited(): boolean {
    return this.#guard?.hasExited() ?? true;
  }

  async output(): Promise<readonly string[]> {
    const text = await readFile(this.#options.workDirectory.logFile, 'utf8').catch(() => '');
    return text.trimEnd().split('\n').slice(-quotedLines);
  }

  async pause(): Promise<void> {
    await freeze(this.#runningPid('pause'));
  }

  async resume(): Promise<void> {
    await thaw(this.#runningPid('resume'));
  }

  async kill(): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    await slay(pid);
    await pollUntil(() => this.hasExited(), 10_000);
  }

  async halt(): Promise<void> {
    const guard = this.#guard;
    if (guard === undefined) return;
    this.#guard = undefined;
    // Tells the guard that the throwaway directory is still needed.
    await writeFile(this.#keepFile, '');
    await guard.release();
  }

  async dispose(): Promise<void> {
    const { workDirectory } = this.#options;
    const guard = this.#guard;
    this.#guard = undefined;
    await guard?.release();
    await closeWorkDirectory(workDirectory);
  }

  get #keepFile(): string {
    return path.join(this.#options.workDirectory.directory, '.keep');
  }

  #runningPid(operation: string): number {
    const { pid } = this;
    if (pid === undefined)
      throw new LocalServerError('not_running', `cannot ${operation} a server that is not running`);
    return pid;
  }
}

const guardScript = fileURLToPath(new URL('../scripts/supervise.sh', import.meta.url));

/** What a guarded server is and how it likes to be stopped. */
export interface SupervisedCommand {
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly workingDirectory: string;
  /** Where stdout and stderr go; truncated first. */
  readonly logFile: string;
  /** What asks the program to stop cleanly. */
  readonly stopSignal: 'TERM' | 'INT';
  /** How long it may take to stop before SIGKILL, in tenths of a second. */
  readonly graceTenths: number;
  /** Directory that goes away with the server, unless it holds a file named `.keep`. */
  readonly temporaryDirectory: string | undefined;
}

/** A running server together with the small shell process that watches over it. */
export interface Supervisor {
  readonly serverPid: number;
  /** Whether the server has ended, for whatever reason. */
  hasExited(): boolean;
  /** Lets go of the lifeline: the server is stopped as if this process had died. Resolves when all is gone. */
  release(): Promise<void>;
}

/**
 * Starts a server under `scripts/supervise.sh`, in a session of its own (Ctrl-C in the terminal reaches us and
 * not the server), tied to this process by a pipe. None of the handles keeps this process alive.
 *
 * @throws LocalServerError `start_failed` when not even a shell could be started
 */
async function startSupervised(options: SupervisedCommand): Promise<Supervisor> {
  const log = openSync(options.logFile, 'w');
  const child = spawn(
    '/bin/sh',
    [
      guardScript,
      options.stopSignal,
      String(options.graceTenths),
      options.temporaryDirectory ?? '',
      ...options.command,
    ],
    { cwd: options.workingDirectory, detached: true, stdio: ['pipe', log, log, 'pipe'] },
  );
  closeSync(log);
  let guardGone = false;
  child.once('exit', () => (guardGone = true));
  child.once('error', () => (guardGone = true));
  // Closing a pipe whose reader is gone is no news.
  child.stdin?.on('error', () => {});
  unreference(child);
  const status = followStatus(child.stdio[3]);
  await pollUntil(() => status.pid !== undefined || guardGone, 10_000);
  const { pid: serverPid } = status;
  if (serverPid === undefined) {
    throw new LocalServerError('start_failed', `no shell could be started for ${options.command[0] ?? 'the server'}`);
  }
  return {
    serverPid,
    hasExited: () => status.exited || guardGone,
    release: async () => {
      child.stdin?.destroy();
      await pollUntil(() => guardGone, options.graceTenths * 100 + 5000);
    },
  };
}

/** Reads the two lines that the guard reports: "pid N", "exit STATUS". */
function followStatus(stream: unknown): { pid: number | undefined; exited: boolean } {
  const status: { pid: number | undefined; exited: boolean } = { pid: undefined, exited: false };
  if (!isReadable(stream)) return status;
  const lines = createInterface({ input: stream });
  lines.on('line', (line) => {
    const [word, value] = line.split(' ');
    if (word === 'pid') status.pid = Number(value);
    if (word === 'exit') status.exited = true;
  });
  return status;
}

function isReadable(stream: unknown): stream is Readable {
  return stream instanceof Socket;
}

function unreference(child: ChildProcess): void {
  child.unref();
  for (const stream of child.stdio) if (stream instanceof Socket) stream.unref();
}

const run = promisify(execFile);

/**
 * Direct children of a process. Postgres gives each backend a session of its own, so signalling the
 * process group would miss them.
 */
export async function childrenOf(pid: number): Promise<readonly number[]> {
  try {
    const list = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return list.split(' ').filter(Boolean).map(Number);
  } catch {
    // No /proc (macOS), a kernel without the file, or the process is gone: ask ps.
    return childrenByPs(pid);
  }
}

async function childrenByPs(pid: number): Promise<readonly number[]> {
  try {
    const { stdout } = await run('ps', ['-A', '-o', 'ppid=', '-o', 'pid=']);
    return stdout
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .flatMap(([parent, child]) => (parent === pid && child !== undefined ? [child] : []));
  } catch {
    return [];
  }
}

/** Sends a signal; a process that is already gone is fine. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Freezes a server: the parent first, so that it can't start another child in between. */
async function freeze(pid: number): Promise<void> {
  signal(pid, 'SIGSTOP');
  for (const child of await childrenOf(pid)) signal(child, 'SIGSTOP');
}

/** Undoes {@link freeze}: children first, so that the parent wakes up to working ones. */
async function thaw(pid: number): Promise<void> {
  for (const child of await childrenOf(pid)) signal(child, 'SIGCONT');
  signal(pid, 'SIGCONT');
}

/** Ends a server and its children at once. Works on frozen ones too. */
async function slay(pid: number): Promise<void> {
  // Stopped first: a Postgres that sees one backend die would start others while the list is worked off.
  signal(pid, 'SIGSTOP');
  const children = await childrenOf(pid);
  signal(pid, 'SIGKILL');
  for (const child of children) signal(child, 'SIGKILL');
}
