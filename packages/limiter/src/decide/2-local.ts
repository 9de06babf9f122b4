import { capacityOf } from '../algorithms/algorithm.ts';
import type { Policy } from '../algorithms/registry.ts';
import { decisionWith, listedDecision, withheld, withheldWithoutStore } from '../decision.ts';
import type { DenyCache } from '../deny-cache/deny-cache.ts';
import type { DecisionWatch } from '../events/watch.ts';
import type { Leases } from '../leases/leases.ts';
import type { LivePolicies } from '../live/live-policies.ts';
import type { LimiterMetrics } from '../metrics.ts';
import type { LimiterStore, StoreRequest } from '../store/store.ts';
import type { ConsumeOptions, Decision } from '../types.ts';
import { type AfterClose, afterClose } from './local-decisions.ts';

/*
 * The second step of a decision, in this process. In this order: what the live lists say of the subject, a block that is
 * known, a cost above the limit, units that were leased. What none of them decides is the store's.
 */

/** What a {@link Decider} is made of. */
export interface DeciderParts {
  readonly store: LimiterStore;
  readonly live: LivePolicies | undefined;
  readonly denyCache: DenyCache | undefined;
  /** What spends leased units; without it the store decides all. */
  readonly leases: Leases | undefined;
  readonly watch: DecisionWatch;
  readonly metrics: Required<LimiterMetrics> | undefined;
}

/** Decides requests in this process where it can, and by the store where it can't. */
export interface Decider extends Omit<LimiterStore, 'nearLimit' | 'giveBack' | 'decideAway' | 'countDenied'> {
  /** Decides what needs no window: a subject on a list, or blocked as far as is known. Undefined: {@link consume} is to decide. */
  known(policy: Policy, subject: string, options: ConsumeOptions): Promise<Decision> | undefined;
  /** The same, uncounted; {@link peek} is to decide the others. */
  knownOnLook(policy: Policy, subject: string, options: ConsumeOptions): Promise<Decision> | undefined;
  /** What the lists alone say. */
  listed(policy: Policy, subject: string): Decision | undefined;
  /** Charges all the requests if each is admitted, or none. A subject on a list is charged nothing. */
  consumeAll(requests: readonly StoreRequest[]): Promise<readonly Decision[]>;
}

/** Makes a {@link Decider}. Closing it closes the store. */
export function decider({ store, live, denyCache, leases, watch, metrics }: DeciderParts): Decider {
  const inProcess = withoutWindow({ live, denyCache, metrics });
  const asked = leases ?? store;
  /** Answers in the store's place once it is closed. */
  let after: AfterClose | undefined;

  function charge(request: StoreRequest): Promise<Decision> {
    if (isTooCostly(request)) return refuse(asked, request);
    return request.policy.lease === undefined ? store.consume(request) : asked.consume(request);
  }

  async function together(requests: readonly StoreRequest[]): Promise<readonly Decision[]> {
    if (after !== undefined) return after.consumeAll(requests);
    const decisions = requests.some(isTooCostly) ? chargeAffordable(asked, requests) : asked.consumeAll(requests);
    return watch.all(requests, decisions);
  }

  return {
    ...inProcess,
    consume(request) {
      if (after !== undefined) return after.consume(request);
      // Without anything to tell the promise is passed on as it is: to wait for it takes turns of the microtask queue.
      const watched = metrics !== undefined || request.policy.nearLimit !== undefined;
      return watched ? watch.one(request, charge(request)) : charge(request);
    },
    peek(request) {
      if (after !== undefined) return after.peek(request);
      return isTooCostly(request) ? refuse(asked, request) : asked.peek(request);
    },
    consumeAll: (requests) => decideTogether(requests, inProcess.listed, together),
    charge: (request) => asked.charge(request),
    reward: (request) => asked.reward(request),
    renew: (request) => store.renew(request),
    reset: (window, by) => asked.reset(window, by).finally(() => denyCache?.forget(window)),
    block: (window, durationMs, by) => asked.block(window, durationMs, by).finally(() => denyCache?.forget(window)),
    unblock: (window, by) => store.unblock(window, by).finally(() => denyCache?.forget(window)),
    async close() {
      after = afterClose();
      denyCache?.close();
      await leases?.close();
      await store.close();
    },
  };
}

/** What needs no window: subjects on a list, and known blocks. */
function withoutWindow({
  live,
  denyCache,
  metrics,
}: Pick<DeciderParts, 'live' | 'denyCache' | 'metrics'>): Pick<Decider, 'listed' | 'known' | 'knownOnLook'> {
  function look(policy: Policy, subject: string): Decision | undefined {
    const listing = live?.listed(subject);
    return listing === undefined ? undefined : listedDecision(policy, listing);
  }

  function listed(policy: Policy, subject: string): Decision | undefined {
    const decision = look(policy, subject);
    if (decision !== undefined) metrics?.decision({ policy: policy.name, outcome: decision.reason, durationMs: 0 });
    return decision;
  }

  return {
    listed,
    known(policy, subject, options) {
      const decision = live === undefined ? undefined : listed(policy, subject);
      if (decision !== undefined) return Promise.resolve(decision);
      const refusal = denyCache?.refuse(policy, subject, options, true);
      if (refusal !== undefined && metrics !== undefined) {
        metrics.cacheHit('deny');
        metrics.decision({ policy: policy.name, outcome: 'blocked', durationMs: 0 });
      }
      return refusal;
    },
    knownOnLook(policy, subject, options) {
      const decision = look(policy, subject);
      if (decision !== undefined) return Promise.resolve(decision);
      return denyCache?.refuse(policy, subject, options, false);
    },
  };
}

/** Listed subjects who are admitted are left out of the group; one who is refused refuses the group. */
async function decideTogether(
  asked: readonly StoreRequest[],
  listed: Decider['listed'],
  decide: (left: readonly StoreRequest[]) => Promise<readonly Decision[]>,
): Promise<readonly Decision[]> {
  const known = asked.map(({ policy, subject }) => listed(policy, subject));
  const left = asked.filter((_, index) => known[index] === undefined);
  const refused = known.some((decision) => decision?.allowed === false);
  const decisions = refused || left.length === 0 ? [] : await decide(left);
  const answers = new Map(left.map((request, index) => [request, decisions[index]]));
  const groupRefused = refused || decisions.some(({ allowed }) => !allowed);
  return asked.map((request, index) => {
    const early = known[index];
    const answer = answers.get(request);
    if (answer !== undefined) return withSlot(answer, request);
    return early === undefined || (early.allowed && groupRefused) ? withheldWithoutStore(request.policy) : early;
  });
}

/*
 * What the policy, as it is now, can never admit: its limit was lowered below the cost while the program runs. Such a
 * request charges nothing and starts no block; it says what is left now and that no wait helps.
 */
function isTooCostly({ policy, cost }: StoreRequest): boolean {
  return cost !== 1 && cost > capacityOf(policy);
}

type Deciding = Pick<LimiterStore, 'consumeAll' | 'peek'>;

async function refuse(store: Deciding, request: StoreRequest): Promise<Decision> {
  const state = await store.peek({ ...request, cost: 1 });
  if (request.policy.mode === 'shadow') return { ...state, allowed: true, reason: 'shadow' };
  return { ...state, allowed: false, reason: 'cost_above_limit', retryAfterMs: Infinity };
}

/** One that is too costly refuses the others, unless its policy only watches. */
async function chargeAffordable(store: Deciding, requests: readonly StoreRequest[]): Promise<readonly Decision[]> {
  const rest = requests.filter((request) => !isTooCostly(request));
  const refuses = requests.some((request) => isTooCostly(request) && request.policy.mode !== 'shadow');
  const charged = refuses || rest.length === 0 ? [] : await store.consumeAll(rest);
  const answers = new Map(rest.map((request, index) => [request, charged[index]]));
  return Promise.all(
    requests.map(async (request) => {
      if (isTooCostly(request)) return refuse(store, request);
      const answer = answers.get(request);
      if (answer !== undefined) return answer;
      const decision = await store.peek(request);
      return decision.reason === 'allowed' ? withheld(decision) : decision;
    }),
  );
}

/** The decision with the slot that the request got, unless the store gave it another; only an admitted request has one. */
export function withSlot(decision: Decision, request: StoreRequest): Decision {
  if (!decision.allowed || request.slot === undefined || decision.slot !== undefined) return decision;
  return decisionWith(decision, { slot: request.slot });
}
