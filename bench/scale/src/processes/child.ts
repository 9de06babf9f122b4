import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What to run, and with what. */
export interface ChildOptions {
  /** For messages. */
  readonly name: string;
  /** A module: TypeScript runs from source. */
  readonly entry: URL;
  readonly args?: readonly string[];
  /** Arguments of Node itself. */
  readonly nodeArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Told why it ended, when it wasn't {@link Child.kill} that ended it. */
  readonly onDeath: (death: ChildError) => void;
}

/** A Node process of ours with a channel to it. */
export interface Child<Command extends object, Event> {
  readonly name: string;
  readonly pid: number;
  tell(command: Command): void;
  /** Hears everything that the child tells from now on. */
  listen(listener: (event: Event) => void): void;
  /**
   * Resolves to the next event that `pick` gives something for.
   * @throws {ChildError} when the child ends before, or has ended already.
   */
  next<Value>(pick: (event: Event) => Value | undefined): Promise<Value>;
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>;
}

/** A process of ours has ended: how, and what it printed last. */
export class ChildError extends Error {
  readonly code = 'child_ended';
  override readonly name = 'ChildError';
  /** Of the process; null when a signal ended it. */
  readonly exitCode: number | null;
  /** That ended it. */
  readonly signal: NodeJS.Signals | null;

  constructor(name: string, end: Pick<ChildError, 'exitCode' | 'signal'>, output: string) {
    const how = end.signal === null ? `with exit code ${end.exitCode}` : `by ${end.signal}`;
    super(`${name} ended ${how}; it printed last:\n${output.trim() || '(nothing)'}`);
    this.exitCode = end.exitCode;
    this.signal = end.signal;
  }
}

/** Of what a child printed, so much is kept, in characters. */
const KEPT_OUTPUT = 4_000;

/** Starts it. It ends with this process: the channel closes. */
export function startChild<Command extends object, Event>(options: ChildOptions): Child<Command, Event> {
  const { name, entry, args = [], nodeArgs = [], env = {}, onDeath } = options;
  const source = entry.pathname.endsWith('.ts')
    ? ['--conditions=@spillway/source', '--import', 'tsx']
    : ['--enable-source-maps'];
  const child = fork(fileURLToPath(entry), [...args], {
    execArgv: [...source, ...nodeArgs],
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  // Whatever comes over the channel is what the child's program says it sends.
  const messages: NodeJS.EventEmitter = child;
  const death = deathOf(name, child);
  let wanted = false;
  void death.then((error) => (wanted ? undefined : onDeath(error)));
  return {
    name,
    pid: child.pid ?? 0,
    tell: (command) => {
      // A killed child's channel closes a moment before its exit is known.
      if (child.connected) child.send(command, () => undefined);
    },
    listen: (listener) => void messages.on('message', listener),
    next: (pick) =>
      new Promise((resolve, reject) => {
        const onMessage = (event: Event): void => {
          const value = pick(event);
          if (value === undefined) return;
          messages.off('message', onMessage);
          resolve(value);
        };
        messages.on('message', onMessage);
        // After it has resolved this does nothing.
        void death.then((error) => {
          messages.off('message', onMessage);
          return reject(error);
        });
      }),
    kill: async () => {
      wanted = true;
      child.kill('SIGKILL');
      await death;
    },
  };
}

/** Resolves when the process is gone and all that it printed has been read. */
function deathOf(name: string, child: ChildProcess): Promise<ChildError> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-KEPT_OUTPUT)));
  }
  return new Promise((resolve) => {
    child.once('close', (exitCode, signal) => resolve(new ChildError(name, { exitCode, signal }, output)));
    // It could not even be started.
    child.once('error', ({ message }) => resolve(new ChildError(name, { exitCode: null, signal: null }, message)));
  });
}
