import { LRUCache } from 'lru-cache';
import type { StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';

const MAX_BLOCKS = 10_000;

/** A block as the API reported it. Times are by the monotonic clock, counted from when it was asked: never later than where Redis sees the end. */
interface Known {
  readonly decision: Decision;
  readonly cost: number;
  readonly askedAt: number;
  readonly endsAt: number;
}

/** Blocks that this process knows of. */
export interface RememberedBlocks {
  /** The refusal of a request, as long as nobody has to be asked again. */
  refuse(request: StoreRequest): Decision | undefined;
  /** The same until the block's end: for as long as the API is away. */
  until(request: StoreRequest): Decision | undefined;
  /** Takes note of a refusal. */
  remember(request: StoreRequest, decision: Decision, askedAt: number): void;
  forget(key: string): void;
  clear(): void;
}

/** Makes {@link RememberedBlocks}, which are believed for `trustMs`: nothing tells of those that end early. */
export function rememberedBlocks(trustMs: number): RememberedBlocks {
  const known = new LRUCache<string, Known>({ max: MAX_BLOCKS });
  let forgotAt = 0;

  function find({ key, policy }: StoreRequest, now: number): Known | undefined {
    const block = policy.mode === 'shadow' ? undefined : known.get(key);
    if (block === undefined || now < block.endsAt) return block;
    known.delete(key);
    return undefined;
  }

  return {
    refuse(request) {
      const now = performance.now();
      const block = find(request, now);
      // How long a request waits depends on its cost where the window is full for longer than the block.
      if (block === undefined || now >= block.askedAt + trustMs || request.cost !== block.cost) return undefined;
      return refusalOf(block, now);
    },
    until(request) {
      const now = performance.now();
      const block = find(request, now);
      return block === undefined ? undefined : refusalOf(block, now);
    },
    remember({ key, cost }, decision, askedAt) {
      const { blockedUntil, allowed, resetAt, resetAfterMs } = decision;
      if (blockedUntil === undefined || allowed || askedAt <= forgotAt) return;
      const leftMs = blockedUntil === Infinity ? Infinity : blockedUntil - (resetAt - resetAfterMs);
      known.set(key, { decision, cost, askedAt, endsAt: askedAt + leftMs });
    },
    forget(key) {
      forgotAt = performance.now();
      known.delete(key);
    },
    clear: () => known.clear(),
  };
}

function refusalOf({ decision, askedAt }: Known, now: number): Decision {
  const passed = now - askedAt;
  const left = (ms: number): number => Math.max(0, Math.ceil(ms - passed));
  return {
    ...decision,
    reason: 'blocked',
    resetAfterMs: left(decision.resetAfterMs),
    retryAfterMs: left(decision.retryAfterMs),
  };
}
