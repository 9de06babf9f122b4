import type { StoreRequest } from './store.ts';
import { type Policy, specOf } from '../algorithms/registry.ts';
import type { Counter } from '../algorithms/algorithm.ts';

/** What memory keeps under one key. */
export interface MemoryWindow {
  /** The policy as the last request had it. */
  readonly current: { policy: Policy };
  counter: Counter;
  blockedUntil: number;
  /** The block began in shadow mode: it refuses nobody once the policy enforces. */
  watched: boolean;
  /** When the last trace of it may be dropped. */
  expiresAt: number;
}

/** All windows of a store, by key. */
export interface MemoryWindows {
  /**
   * The request's window, made when there is none. What another algorithm has counted is taken over; for good unless the
   * request is only a look.
   */
  open(request: Pick<StoreRequest, 'key' | 'policy'>, at: number, look?: boolean): MemoryWindow;
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
    open({ key, policy }, at, look = false) {
      const known = windows.get(key);
      if (known !== undefined) {
        const window = look ? { ...known } : known;
        known.current.policy = policy;
        if (window.counter.algorithm !== policy.algorithm) {
          const charges = window.counter.charges(at);
          window.counter = specOf(policy).counter(() => known.current.policy, charges, at);
        }
        return window;
      }
      if (windows.size >= sweepAt) sweep(at);
      // Of a group some windows are opened before others: a sweep between must not take them for expired.
      const expiresAt = at + policy.windowMs;
      const current = { policy };
      const counter = specOf(policy).counter(() => current.policy, [], at);
      const fresh: MemoryWindow = { current, counter, blockedUntil: 0, watched: false, expiresAt };
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
