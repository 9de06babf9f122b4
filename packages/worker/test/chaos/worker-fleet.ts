import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { compiled } from '@spillway/local-servers/testing';

const fixture = await compiled(new URL('worker.fixture.ts', import.meta.url));

/** Where a worker can be made to die. */
export const POINTS = ['after-read', 'mid-insert', 'after-commit', 'before-release', 'after-release'] as const;

/** One of {@link POINTS}. */
export type Point = (typeof POINTS)[number];

/** What a process does: a worker's work, or one pass of `drain` after the other. */
export type Work = 'worker' | 'drain';

/** What the processes are like. */
export interface WorkerFleetOptions {
  /** As in the sink's options. @default 5_000 */
  readonly lockMs?: number;
  /** What they do, in turn. @default all are workers */
  readonly works?: readonly Work[];
}

/** Workers as processes. */
export class WorkerFleet {
  readonly #args: readonly string[];
  readonly #members = new Map<ChildProcess, Work>();
  /** The work of those that were killed: who comes next does it, so that a queue is never left without a worker. */
  readonly #vacant: Work[] = [];
  readonly #works: readonly Work[];
  #spawned = 0;

  /** @param args Redis' URL, Postgres' URL and the number of shards */
  constructor(args: readonly string[], { lockMs = 5_000, works = ['worker'] }: WorkerFleetOptions = {}) {
    this.#works = works;
    this.#args = [...args, String(lockMs)];
  }

  /** Adds one that lives until it is killed, in the place of one that was killed if there is one. */
  start(): void {
    const work = this.#vacant.shift() ?? this.#nextWork();
    this.#members.set(this.#spawn('none', 0, work), work);
  }

  /** Adds one that dies at a point, after having passed it `passes` times. Resolves when it is dead, to the signal. */
  async sacrifice(point: Point, passes: number): Promise<unknown> {
    const victim = this.#spawn(point, passes, this.#nextWork());
    const [, signal] = await once(victim, 'exit');
    return signal;
  }

  /** kill -9 for one of those that live. */
  async kill(index: number): Promise<void> {
    const member = [...this.#members][index % this.#members.size];
    if (member === undefined) return;
    const [victim, work] = member;
    this.#members.delete(victim);
    this.#vacant.push(work);
    victim.kill('SIGKILL');
    await once(victim, 'exit');
  }

  /** kill -9 for all of them. */
  async stop(): Promise<void> {
    while (this.#members.size > 0) await this.kill(0);
  }

  #nextWork(): Work {
    return this.#works[this.#spawned++ % this.#works.length] ?? 'worker';
  }

  #spawn(point: Point | 'none', passes: number, work: Work): ChildProcess {
    return spawn(process.execPath, [fixture, ...this.#args, point, String(passes), work], {
      env: { PATH: process.env['PATH'] },
      stdio: 'ignore',
    });
  }
}
