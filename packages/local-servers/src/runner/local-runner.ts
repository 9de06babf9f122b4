import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pollUntil } from '../deadline.ts';
import { LocalServerError } from '../errors.ts';
import { type Supervisor, startSupervised } from './supervisor.ts';
import { closeWorkDirectory, type WorkDirectory } from './work-directory.ts';
import { freeze, slay, thaw } from './process-tree.ts';
import type { Runner } from './runner.ts';

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
