import { type ApiCalls, ApiFault, faultOfFetch, type FaultReporter, RefusedRequest } from '@spillway/redis/core';
import type { LocalDecisions } from '../decide/local-decisions.ts';
import { decisionWithoutWindow } from '../decision.ts';
import { LimiterInputError, LimiterUnavailableError } from '../errors.ts';
import { DEFAULT_ACTION, type LimiterStore, type StoreRequest, type StoreWindow } from '../store/store.ts';
import type { ByHand, Decision, DecisionReason } from '../types.ts';
import { batches, type RememberedBlocks } from './batches.ts';

/** What the operations of a store over HTTP are made of. */
export interface Parts {
  readonly api: ApiCalls;
  readonly blocks: RememberedBlocks;
  /** Answers while the API is away. */
  readonly away: LocalDecisions<ApiFault>;
  readonly faults: FaultReporter;
  readonly deadlineMs: number;
}

/** Decisions: by the API, or while it is away by the policies. */
export function deciding(
  { api, blocks, away }: Parts,
  gatherMs: number,
): Pick<LimiterStore, 'consume' | 'consumeAll' | 'peek'> {
  const peek = async (request: StoreRequest): Promise<Decision> =>
    readDecision(await api.post(`${path(request)}/peek`, bodyOf(request)));
  const ask = batches<StoreRequest>({
    gatherMs,
    policyOf: ({ policy }) => policy.name,
    send: async (_policy, requests, askedAt) => {
      const [first] = requests;
      if (first === undefined) return [];
      const answer = await api.post(`${path(first)}/batch`, { requests: requests.map(bodyOf) }, askedAt);
      return readDecisions(answer, requests.length);
    },
    // The API's limit is below the cost, which the policy here allows: it never fits.
    refused: (request, { fields }) =>
      fields.some((field) => field.endsWith('cost')) && request.cost > 1
        ? peek({ ...request, cost: 1 }).then(neverFits)
        : undefined,
  });

  async function consume(request: StoreRequest): Promise<Decision> {
    // What the API charges for a lease could not be given back: each request is decided by itself.
    if (request.isLease === true)
      throw new LimiterInputError('lease', 'needs Redis: over HTTP the API spends the lease');
    const known = blocks.refuse(request);
    if (known !== undefined) return known;
    const askedAt = performance.now();
    try {
      const decision = await ask(request);
      blocks.remember(request, decision, askedAt);
      return decision;
    } catch (error) {
      return away.decide(request, false, faultOf(error));
    }
  }

  return {
    consume,
    async consumeAll(requests) {
      const list = requests.map((request) => ({ policy: request.policy.name, ...bodyOf(request) }));
      try {
        return readDecisions(await api.post('/v1/limits/consume-all', { requests: list }), requests.length);
      } catch (error) {
        return away.decideTogether(requests, faultOf(error));
      }
    },
    async peek(request) {
      try {
        return await peek(request);
      } catch (error) {
        return away.decide(request, true, faultOf(error));
      }
    },
  };
}

/** What changes windows. All of it rejects with `LimiterUnavailableError` where the API doesn't do it. */
export function changing({
  api,
  blocks,
  away,
  faults,
  deadlineMs,
}: Parts): Pick<LimiterStore, 'charge' | 'reward' | 'renew' | 'reset' | 'block' | 'unblock'> {
  /** @throws {LimiterUnavailableError} */
  async function change<Answer>(
    operation: string,
    place: StoreWindow & Partial<StoreRequest>,
    extra: object,
    read: (answer: unknown) => Answer,
  ): Promise<Answer> {
    const body = { ...bodyOf(place), ...extra };
    try {
      return read(await api.post(`${path(place)}/${operation}`, body));
    } catch (error) {
      const fault = faultOf(error);
      faults.failed(fault);
      throw new LimiterUnavailableError(operation, deadlineMs, fault);
    } finally {
      if (place.cost === undefined) blocks.forget(place.key);
    }
  }

  async function slotChange(operation: 'renew' | 'reward', request: StoreRequest): Promise<Decision> {
    const local = await away.changeSlot(request, operation);
    if (local !== undefined) return local;
    const { policy, subject, action, key, slot } = request;
    await change(operation === 'renew' ? 'renew' : 'release', { policy, subject, action, key }, { slot }, readNothing);
    return decisionWithoutWindow(policy, true, 'allowed', policy.limit);
  }

  return {
    charge: (request) => change('penalize', request, {}, readDecision),
    reward: (request) =>
      request.slot === undefined ? change('reward', request, {}, readDecision) : slotChange('reward', request),
    renew: (request) => slotChange('renew', request),
    async reset(window, by) {
      away.forget(window.key);
      await change('reset', window, whyOf(by), readNothing);
    },
    block: (window, durationMs, by) =>
      change('block', window, { ...(durationMs === Infinity ? {} : { durationMs }), ...whyOf(by) }, readEnd),
    unblock(window, by) {
      away.forget(window.key);
      return change('unblock', window, whyOf(by), readWasBlocked);
    },
  };
}

/** The answer to what the API's policy, as it is now, can never admit. */
function neverFits(state: Decision): Decision {
  return { ...state, allowed: false, reason: 'cost_above_limit', retryAfterMs: Infinity };
}

function faultOf(error: unknown): ApiFault {
  return error instanceof RefusedRequest ? error.fault : faultOfFetch(error);
}

/** A member of an object, undefined of anything else. */
function memberOf(answer: unknown, name: string): unknown {
  return typeof answer === 'object' && answer !== null && name in answer ? Reflect.get(answer, name) : undefined;
}

/** @throws {ApiFault} unless the answer is 204. */
function readNothing(answer: unknown): void {
  if (answer !== undefined) throw new ApiFault('client_error', 'an answer where none is expected');
}

/** @throws {ApiFault} */
function readEnd(answer: unknown): number {
  const until = memberOf(answer, 'blockedUntilMs');
  if (until === null) return Infinity;
  if (typeof until !== 'number') throw new ApiFault('client_error', 'blockedUntilMs');
  return until;
}

/** @throws {ApiFault} */
function readWasBlocked(answer: unknown): boolean {
  const wasBlocked = memberOf(answer, 'wasBlocked');
  if (typeof wasBlocked !== 'boolean') throw new ApiFault('client_error', 'wasBlocked');
  return wasBlocked;
}

/** Who it was the API tells by its key. */
function whyOf({ why }: ByHand = {}): object {
  return why === undefined || why === '' ? {} : { why };
}

function path({ policy }: StoreWindow): string {
  return `/v1/limits/${encodeURIComponent(policy.name)}`;
}

function bodyOf({ subject, action, cost = 1 }: StoreWindow & Partial<StoreRequest>): object {
  return { subject, ...(action === DEFAULT_ACTION ? {} : { action }), ...(cost === 1 ? {} : { cost }) };
}

const REASONS: ReadonlySet<unknown> = new Set<DecisionReason>([
  'allowed',
  'limited',
  'blocked',
  'shadow',
  'withheld',
  'cost_above_limit',
  'unavailable',
  'allow_listed',
  'deny_listed',
]);

/** The decisions of an answer with a list of them. @throws {ApiFault} unless there are exactly `count`. */
function readDecisions(answer: unknown, count: number): readonly Decision[] {
  const list: unknown = isObject(answer) ? answer['decisions'] : undefined;
  if (!Array.isArray(list) || list.length !== count) throw new ApiFault('client_error', 'decisions');
  return list.map(readDecision);
}

/**
 * A decision as the API sends it: null stands for a time that never comes. One that the API made without its Redis is a fault.
 * @throws {ApiFault}
 */
function readDecision(answer: unknown): Decision {
  if (!isObject(answer)) throw new ApiFault('client_error', 'decision');
  const { allowed, policy, reason, blockedUntilMs, nearLimit, slot, source } = answer;
  if (typeof allowed !== 'boolean' || typeof policy !== 'string' || !isReason(reason)) {
    throw new ApiFault('client_error', 'decision');
  }
  if (reason === 'unavailable') throw new ApiFault('error_answer', 'its Redis is away');
  return {
    allowed,
    policy,
    reason,
    limit: numberOf(answer, 'limit'),
    remaining: numberOf(answer, 'remaining'),
    decidedAtMs: numberOf(answer, 'decidedAtMs'),
    resetAtMs: timeOf(answer, 'resetAtMs'),
    resetAfterMs: timeOf(answer, 'resetAfterMs'),
    retryAfterMs: timeOf(answer, 'retryAfterMs'),
    ...(source === 'local' ? { source } : {}),
    ...(blockedUntilMs === undefined ? {} : { blockedUntilMs: timeOf(answer, 'blockedUntilMs') }),
    ...(typeof nearLimit === 'boolean' ? { nearLimit } : {}),
    ...(typeof slot === 'string' ? { slot } : {}),
  };
}

function isReason(value: unknown): value is DecisionReason {
  return REASONS.has(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function numberOf(answer: Record<string, unknown>, name: string): number {
  const value = answer[name];
  if (typeof value !== 'number') throw new ApiFault('client_error', name);
  return value;
}

function timeOf(answer: Record<string, unknown>, name: string): number {
  return answer[name] === null ? Infinity : numberOf(answer, name);
}
