import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { compiled } from '@spillway/local-servers/testing';
import { expect } from 'vitest';
import type { BreakerSnapshot } from '../src/breakers/snapshots.ts';
import type { StateName } from '../src/metrics.ts';

const soon = { timeout: 20_000 };

/** Processes with breakers, and what they say of one. */
export class ProcessFleet {
  readonly #urls: () => readonly string[];
  readonly #started: BreakerProcess[] = [];

  constructor(urls: () => readonly string[]) {
    this.#urls = urls;
  }

  async start(size: number, options: Partial<Parameters<typeof breakerProcess>[0]> = {}): Promise<BreakerProcess[]> {
    const common = { urls: this.#urls(), openMs: 60_000, timeoutMs: 1_000, ...options };
    const made = await Promise.all(Array.from({ length: size }, () => breakerProcess(common)));
    this.#started.push(...made);
    return made;
  }

  /** kill -9 for all. */
  async kill(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((each) => each.kill()));
  }
}

/** Each makes a call, and has heard of the fleet afterwards. */
export async function acquainted(of: readonly BreakerProcess[], name: string): Promise<void> {
  await Promise.all(of.map((each) => each.call(name, 'fine', 1)));
  const known = async (): Promise<boolean[]> => (await snapshots(of, name)).map(({ epoch }) => epoch > 0);
  await expect.poll(known, soon).toEqual(all(of.length, true));
}

export async function snapshots(of: readonly BreakerProcess[], name: string): Promise<BreakerSnapshot[]> {
  return Promise.all(of.map((each) => each.snapshot(name)));
}

/** The fleet's state, as each believes it to be. */
export async function fleetStates(of: readonly BreakerProcess[], name: string): Promise<string[]> {
  return (await snapshots(of, name)).map(({ fleetState }) => fleetState);
}

/** The state that calls meet in each. */
export async function states(of: readonly BreakerProcess[], name: string): Promise<string[]> {
  return (await snapshots(of, name)).map(({ state }) => state);
}

/** The same so many times. */
export function all<T>(size: number, value: T): T[] {
  return Array.from({ length: size }, () => value);
}

/** What becomes of a call. */
export type Fate = 'fine' | 'boom' | 'hang';

/** What a person does to a breaker. */
export type Move = 'forceOpen' | 'forceClosed' | 'reset';

/** Orders for breaker.fixture.ts. */
export type FromParent = { readonly id: number; readonly name: string } & (
  | { readonly type: 'call'; readonly outcome: Fate; readonly times: number }
  | { readonly type: 'loop'; readonly outcome: Fate; readonly everyMs: number }
  | { readonly type: 'snapshot' }
  | { readonly type: 'move'; readonly how: Move }
);

/** What it says. Times are in ms since 1970, comparable within a machine. */
export type ToParent =
  | { readonly type: 'ready' }
  | { readonly type: 'hanging' }
  | { readonly type: 'state'; readonly name: string; readonly state: StateName; readonly atMs: number }
  | { readonly type: 'done'; readonly id: number; readonly outcomes: readonly string[]; readonly atMs: number }
  | { readonly type: 'snapshot'; readonly id: number; readonly snapshot: BreakerSnapshot };

/** A process with breakers. */
export interface BreakerProcess {
  readonly child: ChildProcess;
  /** When it first met that state, if it has. */
  metAt(name: string, state: StateName): number | undefined;
  readonly isHanging: boolean;
  /** Calls one after the other; gives what came of them and when the last had ended. */
  call(name: string, outcome: Fate, times: number): Promise<{ outcomes: readonly string[]; atMs: number }>;
  /** Calls again and again from now on. */
  loop(name: string, outcome: Fate, everyMs: number): Promise<void>;
  snapshot(name: string): Promise<BreakerSnapshot>;
  /** Moves it by hand. */
  move(name: string, how: Move): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
}

const fixture = await compiled(new URL('breaker.fixture.ts', import.meta.url));

/** Starts a process and waits until it is connected. */
export async function breakerProcess(args: {
  readonly urls: readonly string[];
  readonly openMs: number;
  readonly timeoutMs: number;
  /** Hears no announcements. */
  readonly deaf?: boolean;
}): Promise<BreakerProcess> {
  const { urls, openMs, timeoutMs, deaf = false } = args;
  const child = spawn(process.execPath, [fixture, urls.join(','), `${openMs}`, `${timeoutMs}`, deaf ? 'deaf' : ''], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const met = new Map<string, number>();
  const waiting = new Map<number, (message: ToParent) => void>();
  let [orders, isHanging] = [0, false];
  const ready = new Promise<void>((resolve) => {
    child.on('message', (message: ToParent) => {
      if (message.type === 'ready') resolve();
      if (message.type === 'hanging') isHanging = true;
      if (message.type === 'state') {
        const key = `${message.name} ${message.state}`;
        if (!met.has(key)) met.set(key, message.atMs);
      }
      if ('id' in message) waiting.get(message.id)?.(message);
    });
  });
  const order = async <Type extends ToParent['type']>(
    _: Type,
    what: Record<string, unknown>,
  ): Promise<Extract<ToParent, { type: Type }>> => {
    orders += 1;
    const id = orders;
    const reply = new Promise<ToParent>((resolve) => waiting.set(id, resolve));
    child.send({ ...what, id });
    return (await reply) as Extract<ToParent, { type: Type }>;
  };
  await ready;
  return {
    child,
    metAt: (name, state) => met.get(`${name} ${state}`),
    get isHanging() {
      return isHanging;
    },
    call: async (name, outcome, times) => order('done', { type: 'call', name, outcome, times }),
    loop: async (name, outcome, everyMs) => void (await order('done', { type: 'loop', name, outcome, everyMs })),
    snapshot: async (name) => (await order('snapshot', { type: 'snapshot', name })).snapshot,
    move: async (name, how) => void (await order('done', { type: 'move', name, how })),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
