import { ApiFault, faultOfFetch, RefusedRequest } from '@spillway/redis/core';
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
