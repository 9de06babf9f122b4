import { LRUCache } from 'lru-cache';
import type { LimiterStore, StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';
import { parseWindowKey } from '../window-key.ts';

/** A subject that has just come near its limit. */
export interface NearLimitCrossing {
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
  /** Units in a window. */
  readonly limit: number;
  /** Units left after the request that crossed. */
  readonly remaining: number;
}

/** Told of each decision that crosses; passes on what is news. */
export type NearLimitNotice = (request: StoreRequest, decision: Decision) => void;

/** Who gets the news. */
export interface NoticeOptions {
  readonly store: Pick<LimiterStore, 'nearLimit'>;
  readonly onNearLimit: ((crossing: NearLimitCrossing) => void) | undefined;
}

/** So many subjects are remembered as known to be near; the ones not heard of for longest go first. */
const MAX_REMEMBERED = 10_000;

/**
 * Makes a {@link NearLimitNotice} that passes on at most one crossing of a window's length per window: in a sliding
 * window units leave one by one, and a subject that stays busy crosses again with every second request.
 */
export function nearLimitNotice({ store, onNearLimit }: NoticeOptions): NearLimitNotice {
  let toldAtMs: LRUCache<string, number> | undefined;
  return ({ key, policy }, { limit, remaining, resetAt, resetAfterMs }) => {
    toldAtMs ??= new LRUCache<string, number>({ max: MAX_REMEMBERED });
    // The store's clock. A failover may step it back: a time that is still to come says nothing.
    const nowMs = resetAt - resetAfterMs;
    const lastMs = toldAtMs.get(key);
    if (lastMs !== undefined && lastMs <= nowMs && nowMs < lastMs + policy.windowMs) return;
    toldAtMs.set(key, nowMs);
    store.nearLimit?.(key, limit, remaining);
    const window = onNearLimit === undefined ? undefined : parseWindowKey(key);
    if (window !== undefined) onNearLimit?.({ ...window, limit, remaining });
  };
}
