import { type ChildProcess, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { migrate } from '@spillway/db';
import {
  compiled,
  type PostgresFixture,
  type RedisFixture,
  usePostgres,
  useRedis,
} from '@spillway/local-servers/testing';

const main = await compiled(new URL('../src/main.ts', import.meta.url));

/**
 * A command line's process, as built, with no other variables than these.
 * @param options with `terminal`, its three streams are a terminal, whose keyboard is stdin and whose screen is stdout; `into`
 * is a file that it writes its result to.
 */
export function startSpillway(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  { terminal = false, into }: { readonly terminal?: boolean; readonly into?: string } = {},
): ChildProcess {
  const plain = [process.execPath, main, ...args];
  const command = into === undefined ? plain : ['sh', '-c', `exec "$0" "$@" > ${into}`, ...plain];
  const [program = '', ...rest] = terminal ? ['script', '-qfec', `exec ${command.join(' ')}`, '/dev/null'] : command;
  return spawn(program, rest, {
    env: { PATH: process.env['PATH'], TERM: 'xterm', ...env },
    stdio: [terminal ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
}

/** What a process said and how it ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line to its end. */
export async function spillway(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return ended(startSpillway(args, env));
}

/** Waits for the end of a process and for all that it says. */
export async function ended(child: ChildProcess): Promise<Ended> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('stdout and stderr must be pipes');
  const code = new Promise<number | null>((resolve) => child.once('close', resolve));
  const said = await Promise.all([text(stdout), text(stderr)]);
  return { code: await code, stdout: said[0], stderr: said[1] };
}

/** A Redis, a migrated database of its own for each test, and the variables that name them. */
export interface Servers {
  readonly redis: RedisFixture;
  readonly postgres: PostgresFixture;
  readonly env: Readonly<Record<string, string>>;
}

/** Read the fields inside tests only. */
export function useServers(): Servers {
  const redis = useRedis();
  const postgres = usePostgres({
    migrate: async (url) => {
      await migrate({ connectionString: url });
    },
    template: 'cli',
    scope: 'test',
  });
  return {
    redis,
    postgres,
    get env() {
      return { REDIS_URL: redis.url, DATABASE_URL: postgres.url };
    },
  };
}
