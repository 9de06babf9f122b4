import type { RedisFaultCode } from '@spillway/redis';
import { warn } from '@spillway/redis/core';
import { LRUCache } from 'lru-cache';
import { capacityOf } from '../algorithms/algorithm.ts';
import { type Policy, specOf } from '../algorithms/registry.ts';
import { decisionWith, unavailableDecision, withheld } from '../decision.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { LimiterStore, StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';

/** Why the store did not decide. */
export interface StoreFault {
  readonly code: RedisFaultCode;
}

/** What {@link localDecisions} are made of. */
export interface LocalDecisionsOptions<Fault extends StoreFault> {
  /** By how many instances a `local` policy's limit is divided. */
  readonly instances: () => number;
  /** Called for each decision without the store. */
  readonly onFailed: (fault: Fault) => void;
  /** Called for each that is charged or refused. @default none */
  readonly onDecided?: (policy: Policy, decision: Decision) => void;
  /** Local windows kept at most; the least used goes first. */
  readonly maxWindows: number;
  /** The refusal of a request whose block is known although the store is away. */
  readonly knownBlock: (request: StoreRequest) => Decision | undefined;
}

/** Answers for a store while it is away. */
export interface LocalDecisions<Fault extends StoreFault> {
  /** A lease is answered and neither charged nor counted: the requests that it was for are decided one by one. */
  decide(request: StoreRequest, peek: boolean, fault: Fault): Promise<Decision>;
  /** Decides requests that are charged together or not at all; in this process nothing comes between. */
  decideTogether(requests: readonly StoreRequest[], fault: Fault): Promise<readonly Decision[]>;
  /**
   * Gives a slot back that was got here, or its full time again: the store has never heard of it. Undefined where it was not got
   * here, or has ended.
   */
  changeSlot(request: StoreRequest, operation: 'reward' | 'renew'): Promise<Decision | undefined>;
  /** Forgets the local window of a key, as a reset or the end of a block by hand does. */
  forget(key: string): void;
}

/**
 * Makes {@link LocalDecisions}. `open` and `closed` policies answer as they say. A `local` policy has windows in this process,
 * of its limit divided by the number of live instances as last counted, so that together they admit about the limit.
 *
 * A block that this process knows of stays in force until its end, whatever the policy. Local windows begin empty: what
 * else the store knew of a subject isn't known here. A full share starts the policy's block, in this process. Windows stay for
 * the next outage, so that a store that comes and goes doesn't give each subject a new share every time.
 */
export function localDecisions<Fault extends StoreFault>(options: LocalDecisionsOptions<Fault>): LocalDecisions<Fault> {
  const { instances, onFailed, onDecided = () => undefined, maxWindows, knownBlock } = options;
  const memory = memoryStore();
  const kept = new LRUCache<string, StoreRequest>({
    max: maxWindows,
    noDisposeOnSet: true,
    dispose: (window) => void memory.reset(window),
  });
  const shares = new WeakMap<Policy, { readonly instances: number; readonly share: Policy }>();

  /** The policy with this instance's share of its limit. */
  function shareOf(policy: Policy): Policy {
    const live = instances();
    const known = shares.get(policy);
    if (known?.instances === live) return known.share;
    const share = dividedBy(policy, live);
    shares.set(policy, { instances: live, share });
    return share;
  }

  function here(request: StoreRequest, cause: RedisFaultCode): Here {
    const block = knownBlock(request);
    if (block !== undefined) return { answer: decisionWith(block, { cause }) };
    if (request.policy.onUnavailable !== 'local') return { answer: unavailableDecision(request.policy, cause) };
    const policy = shareOf(request.policy);
    if (request.cost > capacityOf(policy)) return { answer: unavailableDecision(request.policy, cause, false) };
    kept.set(request.key, request);
    return { share: { ...request, policy } };
  }

  return {
    async decide(request, peek, fault) {
      onFailed(fault);
      if (request.isLease === true) return unavailableDecision(request.policy, fault.code);
      const one = here(request, fault.code);
      const decision =
        'answer' in one ? one.answer : local(await memory[peek ? 'peek' : 'consume'](one.share), fault.code);
      if (!peek) onDecided(request.policy, decision);
      return decision;
    },
    async decideTogether(requests, fault) {
      onFailed(fault);
      const all = requests.map((request) => here(request, fault.code));
      const decisions = await decideAll(memory, all, fault.code);
      for (const [index, decision] of decisions.entries()) {
        const policy = requests[index]?.policy;
        if (policy !== undefined && decision.reason !== 'withheld') onDecided(policy, decision);
      }
      return decisions;
    },
    async changeSlot(request, operation) {
      const { policy, key, slot } = request;
      if (slot === undefined || !kept.has(key)) return undefined;
      const share = { ...request, policy: shareOf(policy) };
      const renewed = await memory.renew(share);
      if (renewed.reason !== 'allowed') return undefined;
      return operation === 'renew' ? renewed : memory.reward(share);
    },
    forget: (key) => void kept.delete(key),
  };
}

/** A request under this instance's share of its policy's limit; or the answer, when nothing is to be counted for it. */
type Here = { readonly share: StoreRequest } | { readonly answer: Decision };

async function decideAll(
  memory: LimiterStore,
  all: readonly Here[],
  cause: RedisFaultCode,
): Promise<readonly Decision[]> {
  const shares = all.flatMap((one) => ('share' in one ? one.share : []));
  const hopeless = all.some((one) => 'answer' in one && !one.answer.allowed);
  // The memory store decides before it returns: no other request comes between its looks and its charges.
  const decided = await (hopeless ? Promise.all(shares.map(memory.peek)) : memory.consumeAll(shares));
  const inTurn = decided[Symbol.iterator]();
  return withheldUnlessAll(all.map((one) => ('answer' in one ? one.answer : local(next(inTurn), cause))));
}

function next(decisions: Iterator<Decision>): Decision {
  const { done, value } = decisions.next();
  if (done === true) throw new Error('fewer decisions than requests');
  return value;
}

function local(decision: Decision, cause: RedisFaultCode): Decision {
  return decisionWith(decision, { source: 'local', cause });
}

// Where one refuses, those that would have been admitted are not; what a shadow policy says stands.
function withheldUnlessAll(decisions: readonly Decision[]): readonly Decision[] {
  if (decisions.every(({ allowed }) => allowed)) return decisions;
  return decisions.map((decision) =>
    decision.allowed && decision.reason !== 'shadow' ? { ...decision, allowed: false, reason: 'withheld' } : decision,
  );
}

/** The share of one of so many instances. */
function dividedBy(policy: Policy, count: number): Policy {
  const part = (units: number): number => Math.max(1, Math.floor(units / count));
  const share = { ...policy, limit: part(policy.limit) };
  return specOf(policy).share?.(share, part) ?? share;
}

/** What answers decisions that are asked for after `close()`. */
export type AfterClose = Pick<LimiterStore, 'consume' | 'consumeAll' | 'peek'>;

/**
 * Makes an {@link AfterClose}. A process that shuts down still has requests under way: they are answered as while Redis is
 * away, by the policy's `onUnavailable`, and not by an error. It is told once by `process.emitWarning`, since a limiter
 * that is closed by mistake limits less.
 */
export function afterClose(): AfterClose {
  let windows: LimiterStore | undefined;
  let told = false;

  function tell(): void {
    if (told) return;
    told = true;
    warn('A closed limiter was asked for a decision: each policy answers by its onUnavailable', {
      code: 'SPILLWAY_LIMITER_CLOSED',
    });
  }

  async function decide(request: StoreRequest, operation: 'consume' | 'peek'): Promise<Decision> {
    tell();
    if (request.policy.onUnavailable !== 'local') return unavailableDecision(request.policy, 'client_ended');
    windows ??= memoryStore();
    return local(await windows[operation](request), 'client_ended');
  }

  return {
    consume: (request) => decide(request, 'consume'),
    peek: (request) => decide(request, 'peek'),
    async consumeAll(requests) {
      const looks = await Promise.all(requests.map((request) => decide(request, 'peek')));
      if (looks.every(({ allowed }) => allowed))
        return Promise.all(requests.map((request) => decide(request, 'consume')));
      return looks.map((look) => (look.allowed ? withheld(look) : look));
    },
  };
}
