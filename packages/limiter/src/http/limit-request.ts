import { warn } from '@spillway/redis/core';
import type { Policy } from '../algorithms/registry.ts';
import { checkSubject } from '../checks.ts';
import { LimiterInputError, shown } from '../errors.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { policyFor } from '../live/live-policies.ts';
import type { ConsumeOptions, Decision } from '../types.ts';
import { byConnection } from './by-ip.ts';
import { chargedBefore, rememberCharge, type Slots, slotsOf } from './charges.ts';
import { checkPolicy, type GuardOptions, type RateLimitInfo } from './guard-options.ts';
import { byTightness, rateLimitHeaders, withRetryJitter } from './headers.ts';
import { type IdentifyInContext, type RequestHeaders, UnusableIdentityError } from './identity.ts';
import { denialProblem, type Problem } from './problem.ts';

/** What becomes of a request. */
export type RateLimitResult =
  | {
      readonly kind: 'pass';
      /** For its answer. */
      readonly headers: Record<string, string>;
      /** Those of them that `Access-Control-Expose-Headers` is to name. */
      readonly exposed: readonly string[];
      /** Absent for a request that was skipped, or that a guard in front has charged. */
      readonly rateLimit?: RateLimitInfo;
      /** The slots of `concurrency` policies that it holds. Absent without such. */
      readonly slots?: Slots;
      /** Gives back what was charged. Absent where nothing was. Never rejects. */
      readonly refund?: () => Promise<void>;
    }
  | {
      readonly kind: 'refused';
      readonly problem: Problem;
      readonly headers: Record<string, string>;
      readonly exposed: readonly string[];
      readonly rateLimit?: RateLimitInfo;
    };

/** What a framework tells beside the request. */
export interface RequestPlace<Of> {
  /** What the options' functions get. */
  readonly of: Of;
  /** The second argument of `identify`. */
  readonly context?: unknown;
  /** The framework's own object for the request: a guard that is registered twice on its way charges it once. */
  readonly once?: object;
}

/** The options of one request: what was to be chosen has been. */
export interface Asked {
  readonly limiter: Limiter;
  readonly policy: string | readonly string[];
  readonly action?: string;
  readonly cost?: number;
}

const NONE: readonly string[] = [];
/** A request that was skipped, or whose figures the guard in front has told. */
const UNSEEN: RateLimitResult = { kind: 'pass', headers: {}, exposed: NONE };
const PLAIN: ConsumeOptions = {};

/**
 * Decides one HTTP request, whatever framework it came through. A request that doesn't say who it is, or says it in a
 * way that can't be used, gets 400: otherwise clients could bypass every limit by omitting their identity.
 * @throws {LimiterInputError} when the policy, action or cost is wrong, which is the program's fault.
 */
export async function limitRequest<Req extends RequestHeaders, Of>(
  request: Req,
  options: GuardOptions<Req, Of>,
  place: RequestPlace<Of>,
): Promise<RateLimitResult> {
  const { skip } = options;
  const { once } = place;
  const identify: IdentifyInContext<Req> = options.identify ?? byConnection;
  try {
    if (skip !== undefined && (await skip(place.of))) return UNSEEN;
    const named = identify(request, place.context);
    // Most identities are known at once: they don't pay for the few that have to be waited for.
    const subject: string | null | undefined = typeof named === 'string' ? named : await named;
    if (subject === undefined || subject === null) {
      return badRequest('identity', 'is missing: the request has no identity');
    }
    if (typeof subject !== 'string') {
      throw new LimiterInputError(
        'identify',
        `must answer with text, undefined or a promise of them, not ${shown(subject)}`,
      );
    }
    const asked = isFixed(options) ? options : await choose(options, place.of, subject);
    if (once !== undefined && chargedBefore(once, asked, subject)) return UNSEEN;
    // Nearly all requests have one policy: no function in between that would have to be waited for.
    // Policies are looked up in the turn in which the limiter is asked: when it answers, a live change may have come.
    let ruling: Ruling;
    if (typeof asked.policy === 'string') {
      const policy = policyFor(asked.limiter, asked.policy, subject) ?? [];
      const answer = await asked.limiter.consume(asked.policy, subject, consumeOptions(asked));
      ruling = rulingOf(answer, policy, options.retryJitter);
    } else ruling = await decideTogether(asked.policy, subject, asked, options.retryJitter);
    return resultOf(ruling, { request, options, asked, subject, once });
  } catch (error) {
    // The client is at fault, whatever `onError` says.
    if (error instanceof UnusableIdentityError) return badRequest(error.field, error.problem);
    if (error instanceof LimiterInputError && error.field === 'subject') return badRequest('subject', error.problem);
    if (options.onError === 'unavailable') return withoutDecision(options, error);
    throw error;
  }
}

function isFixed<Req, Of>(options: GuardOptions<Req, Of>): options is GuardOptions<Req, Of> & Asked {
  return (
    typeof options.policy !== 'function' && typeof options.cost !== 'function' && typeof options.action !== 'function'
  );
}

/** Asks the functions among the options, which may keep the subject: one that is too long never reaches them. `consume` checks action and cost. */
async function choose<Req, Of>(options: GuardOptions<Req, Of>, of: Of, subject: string): Promise<Asked> {
  checkSubject(subject);
  const { limiter, policy, action, cost } = options;
  const chosen = typeof policy === 'function' ? await policy(of, subject) : policy;
  if (typeof policy === 'function') checkPolicy(limiter, chosen);
  const chosenAction = typeof action === 'function' ? await action(of, subject) : action;
  const chosenCost = typeof cost === 'function' ? await cost(of, subject) : cost;
  return {
    limiter,
    policy: chosen,
    ...(chosenAction === undefined ? {} : { action: chosenAction }),
    ...(chosenCost === undefined ? {} : { cost: chosenCost }),
  };
}

/** How a guard finds out whether the answer to a request counts. */
export interface ChargeRule {
  readonly limiter: Limiter;
  readonly chargeIf: () => boolean | Promise<boolean>;
}

/**
 * Calls `refund` unless the answer counts. Never rejects: the request has been decided and its answer made, so the charge
 * stands where `chargeIf` throws, rejects or gives no boolean, and a process warning tells it.
 * @param refund undefined where nothing was charged
 */
export async function refundUnless({ limiter, chargeIf }: ChargeRule, refund?: () => Promise<void>): Promise<void> {
  if (refund === undefined) return;
  try {
    const counts: unknown = await chargeIf();
    if (counts === false) await refund();
    else if (counts !== true) throw new LimiterInputError('chargeIf', `must give true or false, not ${shown(counts)}`);
  } catch (error) {
    warnOnce(limiter, error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Errors of one limiter's guards that are told. Messages that name a subject would have no end. */
const MAX_TOLD = 20;

/** What was told, by limiter: the options of a guard may be new for each request. */
const told = new WeakMap<Limiter, Set<string>>();

function warnOnce(limiter: Limiter, error: unknown): void {
  const messages = told.get(limiter) ?? new Set<string>();
  if (messages.size === 0) told.set(limiter, messages);
  const message = messageOf(error);
  if (messages.size >= MAX_TOLD || messages.has(message)) return;
  messages.add(message);
  warn(`a function of a rate limit guard failed: ${message}`, { code: 'rate_limit_guard_failed' });
}

/** The answer for a request for which one of the guard's functions failed: that of the policies while Redis is away. */
function withoutDecision<Req, Of>({ limiter, policy }: GuardOptions<Req, Of>, error: unknown): RateLimitResult {
  warnOnce(limiter, error);
  const names = typeof policy === 'string' ? [policy] : typeof policy === 'function' ? [] : policy;
  const admits = names.length > 0 && names.every((name) => limiter.policies.get(name)?.onUnavailable === 'open');
  if (admits) return UNSEEN;
  const problem = { status: 503, title: 'The request cannot be limited right now' };
  return { kind: 'refused', problem, headers: {}, exposed: NONE };
}

/** What a ruling is about. */
interface Judged<Req, Of> {
  readonly request: Req;
  readonly options: GuardOptions<Req, Of>;
  readonly asked: Asked;
  readonly subject: string;
  readonly once: object | undefined;
}

function resultOf<Req extends RequestHeaders, Of>(
  { allowed, decision, policy }: Ruling,
  { request, options, asked, subject, once }: Judged<Req, Of>,
): RateLimitResult {
  const headers = rateLimitHeaders(decision, policy, options.headers);
  const crossOrigin = (options.exposeHeaders ?? true) && request.headers.get('origin') !== null;
  const exposed = crossOrigin ? Object.keys(headers) : NONE;
  const rateLimit = infoOf(subject, decision);
  const slots = slotsOf({ limiter: asked.limiter, subject, action: asked.action }, decision, policy);
  if (!allowed) {
    // Of several policies those in shadow mode may have given slots although another refuses.
    slots?.release();
    return { kind: 'refused', problem: denialProblem(decision), headers, exposed, rateLimit };
  }
  if (once !== undefined) rememberCharge(once, { options: asked, subject });
  const pass = {
    kind: 'pass',
    headers,
    exposed,
    rateLimit,
    refund: async (): Promise<void> => giveBack(asked, rateLimit),
  } as const;
  return slots === undefined ? pass : { ...pass, slots };
}

function infoOf(subject: string, decision: Decision | readonly Decision[]): RateLimitInfo {
  if ('policy' in decision) return { subject, decision, decisions: [decision] };
  const [tightest = decision[0]] = decision.filter(({ reason }) => reason !== 'withheld').toSorted(byTightness);
  if (tightest === undefined) throw new Error('consumeAll gave no decision');
  return { subject, decision: tightest, decisions: decision };
}

/** Units that Redis charged go back. What nothing was charged for, or what is a slot, has none. */
async function giveBack(asked: Asked, { subject, decisions }: RateLimitInfo): Promise<void> {
  const charged = decisions.filter(
    ({ reason, source, slot }) => reason === 'allowed' && source === undefined && slot === undefined,
  );
  const options = consumeOptions(asked);
  await Promise.all(charged.map(({ policy }) => asked.limiter.reward(policy, subject, options))).catch(() => undefined);
}

/** What the limiter says, jittered, with the policies that it is about. */
interface Ruling {
  readonly allowed: boolean;
  readonly decision: Decision | readonly Decision[];
  readonly policy: Policy | readonly Policy[];
}

function consumeOptions({ action, cost }: Asked): ConsumeOptions {
  if (action === undefined && cost === undefined) return PLAIN;
  return { ...(action === undefined ? {} : { action }), ...(cost === undefined ? {} : { cost }) };
}

function rulingOf(answer: Decision, policy: Ruling['policy'], retryJitter = 0): Ruling {
  const decision = withRetryJitter(answer, retryJitter);
  return { allowed: decision.allowed, decision, policy };
}

async function decideTogether(
  names: readonly string[],
  subject: string,
  asked: Asked,
  retryJitter = 0,
): Promise<Ruling> {
  const requests = names.map((policy) => ({ policy, subject, ...consumeOptions(asked) }));
  const policy = names.flatMap((name) => policyFor(asked.limiter, name, subject) ?? []);
  const { allowed, decisions } = await asked.limiter.consumeAll(requests);
  return {
    allowed,
    decision: decisions.map((decision) => withRetryJitter(decision, retryJitter)),
    policy,
  };
}

function badRequest(field: string, detail: string): RateLimitResult {
  const title = 'The request cannot be limited';
  const problem = { status: 400, title, detail: `${field} ${detail}`, errors: [{ field, detail }] };
  return { kind: 'refused', problem, headers: {}, exposed: [] };
}
