import {
  instances,
  type Instances,
  outageReporter,
  type FaultReporter,
  type RedisClient,
  type RedisFault,
  type RedisFaultCode,
} from '@spillway/redis';
import { LRUCache } from 'lru-cache';
import { capacityOf } from '../../algorithm/capacity.ts';
import { unavailableDecision } from '../../decision.ts';
import type { Decision, Policy } from '../../types.ts';
import { memoryStore } from '../memory/memory-store.ts';
import type { LimiterStore, StoreRequest } from '../store.ts';

/** Name of the limiters' heartbeats, and of their gaps in the trail. */
const INSTANCES = 'limiter';
const OUTAGE = 'limiter_outage';

/** What a {@link Fallback} is made of. */
export interface FallbackOptions {
  readonly client: RedisClient;
  readonly outboxCap: number;
  /** @default none */
  readonly namespace?: string;
  /** Told of each decision without Redis. */
  readonly faults: Pick<FaultReporter, 'failed'>;
  /** Local windows kept at most; the least used goes first. @default 100_000 */
  readonly maxWindows?: number;
  /** How long after its last heartbeat an instance counts as alive, in ms. @default 6_000 */
  readonly instanceTtlMs?: number;
  /** How often an outage that is over is tried to be reported, in ms. @default 1_000 */
  readonly reportIntervalMs?: number;
  /** The refusal of a request whose block is known although Redis is away. @default no block is known */
  readonly knownBlock?: ((request: StoreRequest) => Decision | undefined) | undefined;
}

/** Answers for Redis while it is away, and keeps count of it. */
export interface Fallback {
  /** To be called for each request that Redis may decide: gets to know how many others share a `local` policy's limit. */
  prepare(policy: Policy): void;
  /** A lease is answered and neither charged nor counted: the requests that it was for are decided one by one. */
  decide(request: StoreRequest, peek: boolean, fault: RedisFault): Promise<Decision>;
  /** Decides requests that are charged together or not at all; in this process nothing comes between. */
  decideTogether(requests: readonly StoreRequest[], fault: RedisFault): Promise<readonly Decision[]>;
  /** Forgets the local window of a key, as a reset or the end of a block by hand does. */
  forget(key: string): void;
  close(): Promise<void>;
}

/**
 * Makes a {@link Fallback}. `open` and `closed` policies answer as they say. A `local` policy has windows in this process,
 * of its limit divided by the number of live instances as last counted, so that together they admit about the limit.
 *
 * A block that this process knows of stays in force until its end, whatever the policy. Local windows begin empty: what
 * else Redis knew of a subject isn't known here. A full share starts the policy's block, in this process. Windows stay for
 * the next outage, so that a Redis that comes and goes doesn't give each subject a new share every time.
 */
export function fallback(options: FallbackOptions): Fallback {
  const { client, outboxCap, namespace = '', faults, maxWindows = 100_000 } = options;
  const { instanceTtlMs = 6_000, reportIntervalMs: intervalMs = 1_000 } = options;
  const knownBlock = options.knownBlock ?? (() => undefined);
  const memory = memoryStore();
  const kept = new LRUCache<string, true>({ max: maxWindows, dispose: (_, key) => void memory.reset(key) });
  const shares = new WeakMap<Policy, { readonly instances: number; readonly share: Policy }>();
  const place = { client, outboxCap, namespace };
  const reporter = outageReporter({ ...place, kind: OUTAGE, instance: crypto.randomUUID(), intervalMs });
  let others: Instances | undefined;

  /** The policy with this instance's share of its limit. */
  function shareOf(policy: Policy): Policy {
    const live = others?.live ?? 1;
    const known = shares.get(policy);
    if (known?.instances === live) return known.share;
    const share = dividedBy(policy, live);
    shares.set(policy, { instances: live, share });
    return share;
  }

  function here(request: StoreRequest, cause: RedisFaultCode): Here {
    const block = knownBlock(request);
    if (block !== undefined) return { answer: { ...block, cause } };
    if (request.policy.onUnavailable !== 'local') return { answer: unavailableDecision(request.policy, cause) };
    const policy = shareOf(request.policy);
    if (request.cost > capacityOf(policy)) return { answer: unavailableDecision(request.policy, cause, false) };
    kept.set(request.key, true);
    return { share: { ...request, policy } };
  }

  function count({ onUnavailable }: Policy, { allowed }: Decision): void {
    reporter.count(`${onUnavailable}_${allowed ? 'admitted' : 'refused'}`);
  }

  return {
    prepare({ onUnavailable }) {
      if (onUnavailable === 'local') others ??= instances({ client, name: INSTANCES, ttlMs: instanceTtlMs, namespace });
    },
    async decide(request, peek, fault) {
      faults.failed(fault);
      if (request.isLease === true) return unavailableDecision(request.policy, fault.code);
      const one = here(request, fault.code);
      const decision =
        'answer' in one ? one.answer : local(await memory[peek ? 'peek' : 'consume'](one.share), fault.code);
      if (!peek) count(request.policy, decision);
      return decision;
    },
    async decideTogether(requests, fault) {
      faults.failed(fault);
      const all = requests.map((request) => here(request, fault.code));
      const decisions = await decideAll(memory, all, fault.code);
      for (const [index, decision] of decisions.entries()) {
        const policy = requests[index]?.policy;
        if (policy !== undefined && decision.reason !== 'withheld') count(policy, decision);
      }
      return decisions;
    },
    forget: (key) => void memory.reset(key),
    async close() {
      await Promise.all([reporter.close(), others?.close()]);
    },
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
  return { ...decision, source: 'local', cause };
}

// Where one refuses, those that would have been admitted are not; what a shadow policy says stands.
function withheldUnlessAll(decisions: readonly Decision[]): readonly Decision[] {
  if (decisions.every(({ allowed }) => allowed)) return decisions;
  return decisions.map((decision) =>
    decision.allowed && decision.reason !== 'shadow' ? { ...decision, allowed: false, reason: 'withheld' } : decision,
  );
}

/** The share of one of so many instances, of a token bucket's burst too. */
function dividedBy(policy: Policy, count: number): Policy {
  const part = (units: number): number => Math.max(1, Math.floor(units / count));
  const share = { ...policy, limit: part(policy.limit) };
  return share.algorithm === 'token-bucket' ? { ...share, burst: part(share.burst) } : share;
}
