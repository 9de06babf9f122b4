import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { pollUntil } from '../deadline.ts';
import { LocalServerError } from '../errors.ts';

const guardScript = fileURLToPath(new URL('../../scripts/supervise.sh', import.meta.url));

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
export async function startSupervised(options: SupervisedCommand): Promise<Supervisor> {
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
