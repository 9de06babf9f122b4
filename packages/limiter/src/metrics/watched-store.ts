import type { LimiterStore } from '../store/store.ts';
import { watchDecisions, type WatchOptions } from '../decide/watch.ts';

/** A store whose decisions are looked at: the outermost layer, so that caches and fallbacks are seen too. */
export function watchedStore(store: LimiterStore, options: WatchOptions): LimiterStore {
  const watch = watchDecisions(options);
  const watchAll = options.metrics !== undefined;
  return {
    consume: (request) =>
      watchAll || request.policy.nearLimit !== undefined
        ? watch.one(request, store.consume(request))
        : store.consume(request),
    consumeAll: (requests) =>
      watchAll || requests.some(({ policy }) => policy.nearLimit !== undefined)
        ? watch.all(requests, store.consumeAll(requests))
        : store.consumeAll(requests),
    peek: (request) => store.peek(request),
    charge: (request) => store.charge(request),
    reward: (request) => store.reward(request),
    renew: (request) => store.renew(request),
    reset: (key, by) => store.reset(key, by),
    block: (policy, key, durationMs, by) => store.block(policy, key, durationMs, by),
    unblock: (key, by) => store.unblock(key, by),
    close: () => store.close(),
  };
}
