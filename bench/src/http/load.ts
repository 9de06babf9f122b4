import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const server = fileURLToPath(new URL('server.ts', import.meta.url));
const manyKeys = fileURLToPath(new URL('many-keys.lua', import.meta.url));
const NODE_ARGS = ['--conditions=@spillway/source', '--import', 'tsx'];

/** What is in front of the app's one route. */
export type Kind = 'none' | 'spillway' | 'hono-rate-limiter';

/** An app in a process of its own. */
export interface RunningApp {
  readonly kind: Kind;
  /** Requests a second over `seconds` at 64 connections, by wrk. @throws when an answer is neither 200 nor 429. */
  press(seconds: number): Promise<number>;
  stop(): Promise<void>;
}

/** Starts an app. `wrk` must be on the PATH. */
export async function startApp(kind: Kind, redisUrl: string): Promise<RunningApp> {
  const child = spawn(process.execPath, [...NODE_ARGS, server, kind, redisUrl], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line]: unknown[] = await once(child.stdout, 'data');
  const url = String(line).trim();
  return {
    kind,
    async press(seconds) {
      const args = ['--threads', '1', '--connections', '64', '--duration', `${seconds}s`, '--script', manyKeys, url];
      const { stdout } = await run('wrk', args);
      const wrong = /^wrong answers: (\d+)$/m.exec(stdout)?.[1];
      if (wrong !== '0') throw new Error(`${kind}: ${wrong} answers were neither 200 nor 429`);
      return Number(/^Requests\/sec:\s+([\d.]+)$/m.exec(stdout)?.[1] ?? Number.NaN);
    },
    async stop() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
