import { ApiFault, faultOfFetch, RefusedRequest } from '@spillway/redis/core';
import { LRUCache } from 'lru-cache';
import type { StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';

/** Most requests that the API takes in one batch. */
const MAX_BATCH = 100;

/** A request that waits for its decision. */
export interface Waiting<Request> {
  readonly request: Request;
  /** By the monotonic clock. */
  readonly askedAt: number;
  resolve(decision: Decision): void;
  reject(fault: ApiFault): void;
}

/** What {@link batches} are made with. */
export interface BatchesOptions<Request> {
  /** How long requests are gathered while others are under way, in ms; 0: those of one turn of the microtasks only. */
  readonly gatherMs: number;
  readonly policyOf: (request: Request) => string;
  /** Decides requests of one policy. @throws {ApiFault} @throws {RefusedRequest} when nothing of it was charged. */
  readonly send: (policy: string, requests: readonly Request[], askedAt: number) => Promise<readonly Decision[]>;
  /** The answer to a request that the API refuses by itself; undefined: it is a fault. */
  readonly refused: (request: Request, refusal: RefusedRequest) => Promise<Decision> | undefined;
}

/**
 * Gathers requests by policy. While nothing is under way those asked for in one turn go at once; otherwise they wait for up to
 * `gatherMs`, so that a busy process sends few large batches instead of many of one. One request that can't be read makes the API
 * refuse the batch before anything is charged: then each goes by itself.
 */
export function batches<Request>(options: BatchesOptions<Request>): (request: Request) => Promise<Decision> {
  const { gatherMs, policyOf, send, refused } = options;
  const waiting = new Map<string, Waiting<Request>[]>();
  let underWay = 0;
  let flushComes = false;

  function flush(): void {
    flushComes = false;
    const groups = [...waiting];
    waiting.clear();
    for (const [policy, group] of groups) void decide(policy, group);
  }

  async function decide(policy: string, batch: readonly Waiting<Request>[]): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    underWay += 1;
    try {
      const requests = batch.map(({ request }) => request);
      const decisions = await send(policy, requests, first.askedAt);
      for (const [index, one] of batch.entries()) {
        const decision = decisions[index];
        if (decision === undefined) one.reject(new ApiFault('client_error', 'decisions'));
        else one.resolve(decision);
      }
    } catch (error) {
      if (error instanceof RefusedRequest) await eachAlone(policy, batch, error);
      else for (const one of batch) one.reject(faultOfFetch(error));
    } finally {
      underWay -= 1;
    }
  }

  async function eachAlone(policy: string, batch: readonly Waiting<Request>[], refusal: RefusedRequest): Promise<void> {
    const [only] = batch;
    if (batch.length > 1 && refusal.fault.code === 'client_error') {
      await Promise.all(batch.map((one) => decide(policy, [one])));
      return;
    }
    const answer = batch.length === 1 && only !== undefined ? refused(only.request, refusal) : undefined;
    if (answer !== undefined && only !== undefined) await answer.then(only.resolve, only.reject);
    else for (const one of batch) one.reject(refusal.fault);
  }

  return (request) =>
    new Promise((resolve, reject) => {
      const policy = policyOf(request);
      const group = waiting.get(policy) ?? [];
      group.push({ request, askedAt: performance.now(), resolve, reject });
      if (group.length === MAX_BATCH) {
        waiting.delete(policy);
        void decide(policy, group);
        return;
      }
      waiting.set(policy, group);
      if (flushComes) return;
      flushComes = true;
      if (underWay === 0 || gatherMs === 0) queueMicrotask(flush);
      else setTimeout(flush, gatherMs);
    });
}

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
  /** The refusal of a request, as long as the API need not be asked again. */
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
      const { blockedUntilMs, allowed, decidedAtMs } = decision;
      if (blockedUntilMs === undefined || allowed || askedAt <= forgotAt) return;
      known.set(key, { decision, cost, askedAt, endsAt: askedAt + (blockedUntilMs - decidedAtMs) });
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
    decidedAtMs: decision.decidedAtMs + Math.floor(passed),
    resetAfterMs: left(decision.resetAfterMs),
    retryAfterMs: left(decision.retryAfterMs),
  };
}
