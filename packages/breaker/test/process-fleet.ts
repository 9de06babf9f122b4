import { expect } from 'vitest';
import type { BreakerSnapshot } from '../src/breakers/snapshots.ts';
import { type BreakerProcess, breakerProcess } from './breaker-process.ts';

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
