import { LimiterInputError, shown } from './errors.ts';
import { checkAction, checkCost, checkSlot, checkSubject } from './request.ts';
import { slotId } from './slots/hold.ts';
import type { StoreRequest } from './store/store.ts';
import type { CombinedRequest, ConsumeOptions, Policy } from './types.ts';
import { keyName, type WindowKeys } from './window-key.ts';

/** The action of a request that names none. */
export const DEFAULT_ACTION = 'default';

/** Turns what callers pass into requests that a store takes. All of it throws `LimiterInputError`. */
export interface RequestReader {
  find(policy: string): Policy;
  /** A policy of the algorithm `concurrency`. */
  findConcurrency(policy: string): Policy;
  locate(policy: Policy, subject: string, action?: string): string;
  request(policy: string, subject: string, options: ConsumeOptions): StoreRequest;
  slotRequest(policy: string, subject: string, slot: string, action?: string): StoreRequest;
  together(requests: readonly CombinedRequest[]): readonly StoreRequest[];
}

/** The most requests that one `consumeAll` may hold. */
const MAX_TOGETHER = 64;

/** Makes a {@link RequestReader}. */
export function requestReader(policies: ReadonlyMap<string, Policy>, keyOf: WindowKeys): RequestReader {
  const keyNames = new Map([...policies.values()].map((policy) => [policy.name, keyName(policy)]));

  function find(name: string): Policy {
    const policy = policies.get(name);
    if (policy !== undefined) return policy;
    throw new LimiterInputError('policy', `must be one of ${[...policies.keys()].join(', ')}, not ${shown(name)}`);
  }

  function findConcurrency(name: string): Policy {
    const policy = find(name);
    if (policy.algorithm === 'concurrency') return policy;
    throw new LimiterInputError('policy', `must be one of algorithm concurrency, not ${shown(name)}`);
  }

  function locate(policy: Policy, subject: string, action: string = DEFAULT_ACTION): string {
    checkSubject(subject);
    if (action !== DEFAULT_ACTION) checkAction(action);
    return keyOf(keyNames.get(policy.name) ?? policy.name, action, subject);
  }

  function request(name: string, subject: string, { action, cost = 1 }: ConsumeOptions): StoreRequest {
    const policy = find(name);
    checkCost(cost, policy);
    const key = locate(policy, subject, action);
    return policy.algorithm === 'concurrency' ? { policy, key, cost, slot: slotId() } : { policy, key, cost };
  }

  return {
    find,
    findConcurrency,
    locate,
    request,
    slotRequest(name, subject, slot, action) {
      const policy = findConcurrency(name);
      checkSlot(slot);
      return { policy, key: locate(policy, subject, action), cost: 1, slot };
    },
    together(combined) {
      if (!Array.isArray(combined) || combined.length === 0 || combined.length > MAX_TOGETHER) {
        throw new LimiterInputError('requests', `must be a list of 1 to ${MAX_TOGETHER} requests`);
      }
      const requests = combined.map(({ policy, subject, ...options }) => request(policy, subject, options));
      if (new Set(requests.map(({ key }) => key)).size < requests.length) {
        throw new LimiterInputError('requests', 'must not ask for one window twice: add up the costs');
      }
      return requests;
    },
  };
}
