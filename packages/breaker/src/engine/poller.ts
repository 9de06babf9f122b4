import type { BreakerStore } from '../store/store.ts';
import type { FleetMember } from './fleet-member.ts';
import type { Runtime } from './types.ts';

/** Polls, in ms: as a rule, and while the store is away. */
const POLL_MS = 1_500;
const AWAY_POLL_MS = 400;

/** A breaker with news within this time, in ms, needs no poll. Less than the poll's interval, since timers may be early. */
const FRESH_MS = 1_300;

/** What a {@member Poller} is made of. */
export interface PollerOptions {
  readonly store: Pick<BreakerStore, 'poll'>;
  readonly runtime: Runtime;
  /** All breakers that there are now. */
  readonly members: () => readonly FleetMember[];
}

/**
 * One poll per process: it asks the store about all breakers at once, since announcements can be lost. Only those with
 * news are read. While the replies to reports bring the news of all of them, it doesn't poll.
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

  /** A breaker lost the store: polls soon. */
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
    if (all.some((member) => member.isStale || (member.lastNewsMs <= sinceMs && !member.mustRead))) {
      // All members, including those with recent news: the store reports a change only once.
      const { changed, unreachable } = await store.poll(all).catch(() => ({ changed: [], unreachable: all }));
      const [news, gone] = [new Set(changed), new Set(unreachable)];
      for (const member of unreachable) member.lost();
      for (const member of all) if (!gone.has(member)) member.polled(news.has(member));
    }
    this.#pollsSoon = all.some((member) => member.isStale);
    this.#arm();
  }
}
