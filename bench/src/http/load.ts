import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { built } from '../built.ts';
import type { DebianPackage } from '@spillway/local-servers';

const run = promisify(execFile);
/** The load generator. */
export const wrk: DebianPackage = { name: 'wrk', file: '/usr/bin/wrk' };

/** What wrk found. */
export interface Load {
  readonly requestsPerSecond: number;
  /** 99 of 100 answers came within so long, in ms. */
  readonly p99Ms: number;
  /** CPU of the server a request, in µs: all its threads, so garbage collection too. */
  readonly cpuMicros: number;
}

/** A server in a process of its own. */
export interface RunningApp {
  /** Presses it over `seconds` at 64 connections, at a path beneath its URL. @throws when an answer is not one that the script expects. */
  press(seconds: number, path?: string): Promise<Load>;
  stop(): Promise<void>;
}

/** What {@link startApp} runs. */
export interface AppOptions {
  /**
   * File name of a program of this folder that calls {@link tellCpu} and prints its URL. It runs as built, like its
   * peers: run as TypeScript, a guard added a tenth more.
   */
  readonly server: string;
  readonly args: readonly string[];
  /** Flags of Node. @default none */
  readonly flags?: readonly string[];
  /** Path of the script for wrk; it prints `wrong answers: N` and `p99 us: N`. It gets what follows the URL in the line. */
  readonly script: string;
}

/** Starts an app. {@link wrk} must be there. */
export async function startApp({ server, args, flags = [], script }: AppOptions): Promise<RunningApp> {
  const program = built(`http/${server}`);
  const child = spawn(process.execPath, [...flags, program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const [line]: unknown[] = await once(child.stdout ?? child, 'data');
  const [url = '', ...rest] = String(line).trim().split(' ');
  return {
    async press(seconds, path = '') {
      const options = ['--threads', '1', '--connections', '64', '--duration', `${seconds}s`, '--script', script];
      const before = await cpuOf(child);
      const { stdout } = await run('wrk', [...options, `${url}${path}`, '--', ...rest]);
      const wrong = /^wrong answers: (\d+)$/m.exec(stdout)?.[1];
      if (wrong !== '0') throw new Error(`${args[0]}: ${wrong} answers were wrong`);
      const made = Number(/^ +(\d+) requests in /m.exec(stdout)?.[1] ?? Number.NaN);
      const { user, system } = await cpuOf(child);
      await untilIdle(child);
      return {
        cpuMicros: (user + system - before.user - before.system) / made,
        requestsPerSecond: Number(/^Requests\/sec:\s+([\d.]+)$/m.exec(stdout)?.[1] ?? Number.NaN),
        p99Ms: Number(/^p99 us: ([\d.]+)$/m.exec(stdout)?.[1] ?? Number.NaN) / 1_000,
      };
    },
    async stop() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** All CPU that an app has used, in µs. */
async function cpuOf(app: ChildProcess): Promise<NodeJS.CpuUsage> {
  app.send('cpu');
  const [usage]: NodeJS.CpuUsage[] = await once(app, 'message');
  return usage ?? { user: Number.NaN, system: Number.NaN };
}

const IDLE_LOOK_MS = 100;
const IDLE_MICROS = 10_000;
const MAX_IDLE_LOOKS = 50;

/**
 * Waits until an app has done what was left when wrk stopped, at most some seconds: it would take CPU from the app that is pressed next,
 * and 64 batches of 100 decisions are left of one.
 */
async function untilIdle(app: ChildProcess): Promise<void> {
  let before = await cpuOf(app);
  for (let look = 0; look < MAX_IDLE_LOOKS; look += 1) {
    await setTimeout(IDLE_LOOK_MS);
    const now = await cpuOf(app);
    if (now.user + now.system - before.user - before.system < IDLE_MICROS) return;
    before = now;
  }
}

/** Lets a process tell the one that started it how much CPU it has used: the kernel's own files count in hundredths of a second. */
export function tellCpu(): void {
  process.on('message', () => process.send?.(process.cpuUsage()));
}
