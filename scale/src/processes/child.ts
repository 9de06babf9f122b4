import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What to run, and with what. */
export interface ChildOptions {
  /** For messages. */
  readonly name: string;
  /** A module: TypeScript runs from source. */
  readonly entry: URL;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A Node process of ours with a channel to it. */
export interface Child<Command extends object, Event> {
  readonly name: string;
  readonly pid: number;
  readonly hasExited: () => boolean;
  tell(command: Command): void;
  /** Hears everything that the child tells from now on. */
  listen(listener: (event: Event) => void): void;
  /**
   * Resolves to the next event that `pick` gives something for.
   * @throws {ChildError} when the child ends before.
   */
  next<Value>(pick: (event: Event) => Value | undefined): Promise<Value>;
  /** kill -9 */
  kill(): Promise<void>;
  /** Asks it to end, and ends it when it doesn't within `graceMs`. */
  stop(graceMs?: number): Promise<void>;
}

/** A process of ours ended when it shouldn't have. */
export class ChildError extends Error {
  readonly code = 'child_ended';
  override readonly name = 'ChildError';
}

/** Of what a child printed, so much is kept, in characters. */
const KEPT_OUTPUT = 4_000;

/** Starts it. It ends with this process: the channel closes. */
export function startChild<Command extends object, Event>(options: ChildOptions): Child<Command, Event> {
  const { name, entry, args = [], env = {} } = options;
  const child = fork(fileURLToPath(entry), [...args], {
    execArgv: entry.pathname.endsWith('.ts')
      ? ['--conditions=@spillway/source', '--import', 'tsx']
      : ['--enable-source-maps'],
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  // Whatever comes over the channel is what the child's program says it sends.
  const messages: NodeJS.EventEmitter = child;
  const output = keepOutput(child);
  const exited = once(child, 'exit');
  const hasExited = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    name,
    pid: child.pid ?? 0,
    hasExited,
    tell: (command) => {
      // A killed child's channel closes a moment before its exit is known.
      if (child.connected) child.send(command, () => undefined);
    },
    listen: (listener) => void messages.on('message', listener),
    next: (pick) =>
      new Promise((resolve, reject) => {
        const onMessage = (event: Event): void => {
          const value = pick(event);
          if (value !== undefined) finish(() => resolve(value));
        };
        const onExit = (): void =>
          finish(() =>
            reject(new ChildError(`${name} ended with ${child.exitCode ?? child.signalCode}:\n${output()}`)),
          );
        const finish = (settle: () => void): void => {
          messages.off('message', onMessage);
          child.off('exit', onExit);
          settle();
        };
        // It may have ended before anybody asked.
        if (hasExited()) {
          onExit();
          return;
        }
        messages.on('message', onMessage);
        child.once('exit', onExit);
      }),
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    stop: async (graceMs = 8_000) => {
      if (hasExited()) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

function keepOutput(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => (text = (text + chunk.toString()).slice(-KEPT_OUTPUT)));
  }
  return () => text;
}
