import type { LimiterStore, StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';
import { capacityOf } from '../algorithms/registry.ts';

/**
 * A store that refuses what the policy, as it is now, can never admit: its limit was lowered below the cost while the
 * program runs. Such a request charges nothing and starts no block; it says what is left now and that no wait helps.
 */
export function refusingTooCostly(inner: LimiterStore): LimiterStore {
  async function refuse(request: StoreRequest): Promise<Decision> {
    const state = await inner.peek({ ...request, cost: 1 });
    if (request.policy.mode === 'shadow') return { ...state, allowed: true, reason: 'shadow' };
    return { ...state, allowed: false, reason: 'cost_above_limit', retryAfterMs: Infinity };
  }

  async function withheld(request: StoreRequest): Promise<Decision> {
    const decision = await inner.peek(request);
    return decision.reason === 'allowed' ? { ...decision, allowed: false, reason: 'withheld' } : decision;
  }

  /** One that is too costly refuses the others, unless its policy only watches. */
  async function decideTogether(requests: readonly StoreRequest[]): Promise<readonly Decision[]> {
    const rest = requests.filter((request) => !isTooCostly(request));
    const refuses = requests.some((request) => isTooCostly(request) && request.policy.mode !== 'shadow');
    const charged = refuses || rest.length === 0 ? [] : await inner.consumeAll(rest);
    const answers = new Map(rest.map((request, index) => [request, charged[index]]));
    return Promise.all(
      requests.map(async (request) => {
        if (isTooCostly(request)) return refuse(request);
        return answers.get(request) ?? withheld(request);
      }),
    );
  }

  return {
    ...inner,
    consume: (request) => (isTooCostly(request) ? refuse(request) : inner.consume(request)),
    peek: (request) => (isTooCostly(request) ? refuse(request) : inner.peek(request)),
    consumeAll: (requests) => (requests.some(isTooCostly) ? decideTogether(requests) : inner.consumeAll(requests)),
  };
}

function isTooCostly({ policy, cost }: StoreRequest): boolean {
  return cost !== 1 && cost > capacityOf(policy);
}
