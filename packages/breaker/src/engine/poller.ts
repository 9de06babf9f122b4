import type { BreakerStore } from '../store/store.ts';
import type { FleetMember } from './fleet-member.ts';
import type { Runtime } from './types.ts';

/** Polls, in ms: as a rule, and while the store is away. */
const POLL_MS = 1_500;
const AWAY_POLL_MS = 400;

/** A breaker that was heard of within this time, in ms, needs no poll: less than a poll's, for timers may be early. */
const FRESH_MS = 1_300;

/** What a {@member Poller} is made of. */
export interface PollerOptions {
  readonly store: Pick<BreakerStore, 'poll'>;
  readonly runtime: Runtime;
  /** All breakers that there are now. */
  readonly members: () => readonly FleetMember[];
}

/**
 * A process' heartbeat: asks the store about all breakers at once, for announcements may be lost. Only those for which there
 * is news are read. While all are heard of by other ways, by their reports, it asks nothing.
 */
export class Poller {
  readonly #options: PollerOptions;
  #cancel: (() => void) | undefined;
  #pollsSoon = false;
  #stopped = false;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#arm();
  }

  /** A breaker lost the store: it is asked for soon. */
  pollSoon(): void {
    if (this.#pollsSoon || this.#stopped) return;
    this.#pollsSoon = true;
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #arm(): void {
    this.#cancel?.();
    if (this.#stopped) return;
    this.#cancel = this.#options.runtime.after(this.#pollsSoon ? AWAY_POLL_MS : POLL_MS, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    const { members, store, runtime } = this.#options;
    const all = members();
    for (const member of all) if (member.mustRead) void member.read();
    const sinceMs = runtime.now() - FRESH_MS;
    if (all.some((member) => member.isAlone || (member.lastNewsMs <= sinceMs && !member.mustRead))) {
      // All of them, also those that were heard of just now: the store tells of a change once.
      const { changed, unreachable } = await store.poll(all).catch(() => ({ changed: [], unreachable: all }));
      const [news, gone] = [new Set(changed), new Set(unreachable)];
      for (const member of unreachable) member.lost();
      for (const member of all) if (!gone.has(member)) member.polled(news.has(member));
    }
    this.#pollsSoon = all.some((member) => member.isAlone);
    this.#arm();
  }
}
