import type { Policy } from '../../types.ts';
import type { StoreRequest } from '../store.ts';
import { counterFor } from './counters/counter-for.ts';
import type { Counter } from './counters/counter.ts';

/** What memory keeps under one key. */
export interface MemoryWindow {
  /** As the last request had it. */
  policy: Policy;
  readonly counter: Counter;
  blockedUntil: number;
  /** When the last trace of it may be dropped. */
  expiresAt: number;
}

/** All windows of a store, by key. */
export interface MemoryWindows {
  /** The request's window, made when there is none. */
  open(request: Pick<StoreRequest, 'key' | 'policy'>, at: number): MemoryWindow;
  get(key: string): MemoryWindow | undefined;
  delete(key: string): void;
  clear(): void;
}

const SWEEP_FROM = 1024;

/** Makes {@link MemoryWindows}, kept few by dropping the expired whenever their number has doubled. */
export function memoryWindows(): MemoryWindows {
  const windows = new Map<string, MemoryWindow>();
  let sweepAt = SWEEP_FROM;

  function sweep(at: number): void {
    for (const [key, { expiresAt }] of windows) if (expiresAt <= at) windows.delete(key);
    sweepAt = Math.max(SWEEP_FROM, windows.size * 2);
  }

  return {
    open({ key, policy }, at) {
      const window = windows.get(key);
      if (window !== undefined) {
        window.policy = policy;
        return window;
      }
      if (windows.size >= sweepAt) sweep(at);
      // Of a group some windows are opened before others: a sweep between must not take them for expired.
      const expiresAt = at + policy.windowMs;
      const fresh: MemoryWindow = {
        policy,
        counter: counterFor(policy, () => fresh.policy),
        blockedUntil: 0,
        expiresAt,
      };
      windows.set(key, fresh);
      return fresh;
    },
    get: (key) => windows.get(key),
    delete: (key) => {
      windows.delete(key);
    },
    clear: () => windows.clear(),
  };
}
