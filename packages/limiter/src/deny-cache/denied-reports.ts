import type { LimiterStore } from '../store/store.ts';
import type { KnownBlock } from './block-memory.ts';

/** Hands what a cache refused over to the store that keeps count. */
export interface DeniedReports {
  /** Where to. */
  to(store: LimiterStore): void;
  /** Reports a block's refusals within a second. */
  later(block: KnownBlock): void;
  /** Reports them now. */
  report(block: KnownBlock): void;
  /** Reports all that is left. */
  close(): void;
}

const GATHER_MS = 500;

/** Makes {@link DeniedReports}: a refusal costs an addition, and the store hears of each block twice a second at most. */
export function deniedReports(): DeniedReports {
  let waiting: KnownBlock[] = [];
  let store: LimiterStore | undefined;
  let timer: NodeJS.Timeout | undefined;

  function report(block: KnownBlock): void {
    if (block.denied === 0) return;
    store?.countDenied?.(block.key, block.denied);
    block.denied = 0;
  }

  function reportAll(): void {
    clearTimeout(timer);
    timer = undefined;
    const blocks = waiting;
    waiting = [];
    for (const block of blocks) report(block);
  }

  return {
    to(target) {
      store = target;
    },
    later(block) {
      waiting.push(block);
      timer ??= setTimeout(reportAll, GATHER_MS).unref();
    },
    report,
    close: reportAll,
  };
}
