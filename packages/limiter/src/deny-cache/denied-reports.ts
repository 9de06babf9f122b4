import type { LimiterStore } from '../store/store.ts';

/** Hands what a cache refused over to the store that keeps count. */
export interface DeniedReports {
  /** Where to. */
  to(store: LimiterStore): void;
  /** Reports an entry's refusals within a second. */
  later(entry: number): void;
  /** Reports refusals of a window now. */
  report(key: string, denied: number): void;
  /** Reports all that is left. */
  close(): void;
}

/** Where refusals are counted. */
export interface DeniedCounts {
  keyOf(entry: number): string;
  takeDenied(entry: number): number;
}

const GATHER_MS = 500;

/**
 * Makes {@link DeniedReports}: a refusal costs an addition, and the store hears of each block twice a second at most.
 * @param counts asked when it is time: an entry that was forgotten has reported its refusals itself
 */
export function deniedReports(counts: () => DeniedCounts): DeniedReports {
  let waiting: number[] = [];
  let store: LimiterStore | undefined;
  let timer: NodeJS.Timeout | undefined;

  function report(key: string, denied: number): void {
    if (denied > 0) store?.countDenied?.(key, denied);
  }

  function reportAll(): void {
    clearTimeout(timer);
    timer = undefined;
    const entries = waiting;
    waiting = [];
    for (const entry of entries) report(counts().keyOf(entry), counts().takeDenied(entry));
  }

  return {
    to(target) {
      store = target;
    },
    later(entry) {
      waiting.push(entry);
      timer ??= setTimeout(reportAll, GATHER_MS).unref();
    },
    report,
    close: reportAll,
  };
}
