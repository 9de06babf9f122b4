import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { serve } from '@spillway/api';
import { startRedisCluster, startRedisSentinel } from '@spillway/local-servers';
import { compiled } from '@spillway/local-servers/testing';
import { vi } from 'vitest';

/** Runs the start command, as built. */
export const startCommand: readonly string[] = [await compiled(new URL('../src/main.ts', import.meta.url))];

/** The start command as a process of its own. */
export interface StartProcess {
  readonly child: ChildProcess;
  readonly output: () => string;
  /** Resolves to the exit code, when all output is there. */
  readonly exited: Promise<number | null>;
  /** Resolves when the summary is printed, to the URLs and the key in it; rejects with the output when it ended before. */
  ready(): Promise<{
    readonly api: string;
    readonly key: string;
    readonly redis: string;
    readonly postgres: string;
  }>;
}

/** The environment without what would change the command's mind: URLs, ports, our own package manager. */
export function cleanEnvironment(): Record<string, string | undefined> {
  const unwanted = /^(npm_|PORT$|HOST$|REDIS_URL$|DATABASE_URL$|LOG_LEVEL$|SPILLWAY_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !unwanted.test(name)));
}

/** Starts it. @param under a command that runs it, e.g. that of {@link withoutRedisProgram} */
export function spawnStart(
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  under: readonly string[] = [],
): StartProcess {
  return follow(
    spawn('env', [...under, process.execPath, ...startCommand, ...args], {
      env: { ...cleanEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
}

/** Follows a process that prints what the start command prints. */
export function follow(child: ChildProcess): StartProcess {
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (printed += String(chunk)));
  const exited = once(child, 'close').then(() => child.exitCode);
  const valueAfter = (label: string): string => new RegExp(`${label} +(\\S+)`).exec(printed)?.[1] ?? '';
  return {
    child,
    output: () => printed,
    exited,
    ready: async () => {
      await vi.waitUntil(() => printed.includes('Ctrl-C stops') || child.exitCode !== null, {
        timeout: 60_000,
        interval: 50,
      });
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${printed}`);
      return {
        api: valueAfter('API'),
        key: valueAfter('Key'),
        redis: valueAfter('Redis'),
        postgres: valueAfter('Postgres'),
      };
    },
  };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<string> {
  const server = await serve({ fetch: () => new Response(), host: '127.0.0.1', port: 0 });
  await server.close(0);
  return String(server.port);
}

/** Command lines that mention a directory: the servers that work in it, and their guards. Only where /proc is. */
export function processesUsing(directory: string): readonly string[] {
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return pids.flatMap((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return command.includes(directory) ? [command] : [];
    } catch {
      return [];
    }
  });
}

const addresses = (nodes: readonly { readonly host: string; readonly port: number }[]): string =>
  nodes.map(({ host, port }) => `${host}:${port}`).join(',');

/** Starts a Cluster, or a master with sentinels, and makes the URL that names it. */
export async function startSet(kind: 'cluster' | 'sentinel'): Promise<{ set: { stop(): Promise<void> }; url: string }> {
  if (kind === 'cluster') {
    const set = await startRedisCluster();
    return { set, url: `redis-cluster://${addresses(set.nodes)}` };
  }
  const set = await startRedisSentinel();
  return { set, url: `redis-sentinel://${addresses(set.sentinels)}/${set.name}` };
}

/**
 * /dev/null lies over each Redis program of the PATH and of the system, and `false` over apt-get, in a mount namespace of the
 * command's own. Each, because a PATH may name another server before the system's.
 */
const hidden =
  'for d in $(echo "$PATH" | tr : " ") /usr/local/bin /usr/bin /usr/sbin /usr/local/sbin; do ' +
  'for p in "$d/redis-server" "$d/valkey-server"; do [ ! -x "$p" ] || mount --bind /dev/null "$p" || exit 9; done; done; ' +
  '[ ! -x /usr/bin/apt-get ] || mount --bind /bin/false /usr/bin/apt-get || exit 9; exec "$@"';
const command = ['unshare', '--user', '--map-root-user', '--mount', '/bin/sh', '-c', hidden, 'sh'];

/** Runs a program as on a machine without Redis and without network for apt; possible on Linux where a user may have namespaces. */
export const withoutRedisProgram: { readonly command: readonly string[]; readonly possible: boolean } = {
  command,
  possible: spawnSync('env', [...command, 'true']).status === 0,
};

/** Asks for generations with the key of the commands to try, one after the other. */
export async function flood(api: string, requests: number): Promise<Response[]> {
  const responses: Response[] = [];
  for (let request = 0; request < requests; request += 1) {
    const init = { method: 'POST', headers: { 'X-API-Key': 'demo' } };
    responses.push(await fetch(`${api}/functions/v1/generate-content`, init));
  }
  return responses;
}
