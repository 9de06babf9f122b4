import { pollUntil } from './deadline.ts';
import { LocalServerError } from './errors.ts';
import type { Runner } from './runner/runner.ts';

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
