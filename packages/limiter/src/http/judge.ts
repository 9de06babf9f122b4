import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import type { Limiter } from '../limiter-interface.ts';
import { policyFor } from '../live/policy-for.ts';
import type { ConsumeOptions, Decision, Policy } from '../types.ts';
import { checkAction, checkCost } from '../request.ts';
import { rateLimitHeaders } from './headers.ts';
import { chargedBefore, rememberCharge } from './charge-once.ts';
import { byConnection } from './identity/by-connection.ts';
import {
  type Identify,
  type IdentifyInContext,
  type RequestHeaders,
  UnusableIdentityError,
} from './identity/identity.ts';
import { denialProblem, type Problem } from './problem.ts';
import { withRetryJitter } from './retry-jitter.ts';
import { type Slots, slotsOf } from './slots.ts';

/** What to check of a request. */
export interface GuardOptions<Req = Request> {
  readonly limiter: Limiter;
  /** One, or several that must all admit: then either all are charged or none. */
  readonly policy: string | readonly string[];
  readonly action?: string;
  /** Units. @default 1 */
  readonly cost?: number;
  /**
   * Who is asking. @default the address of the connection, where the framework tells it; elsewhere it must be given
   */
  readonly identify?: Identify<Req>;
  /**
   * Refused clients are told to wait longer by a random part of up to this share of their wait, 0 to 1, so that they
   * don't all come back at once. @default 0
   */
  readonly retryJitter?: number;
  /**
   * Whether pages of other origins may read the rate limit headers: when a request has an `Origin`, they are added to
   * `Access-Control-Expose-Headers`. @default true
   */
  readonly exposeHeaders?: boolean;
}

/** What becomes of a request. */
export type Verdict =
  | {
      readonly kind: 'pass';
      /** For its answer. */
      readonly headers: Record<string, string>;
      /** Those of them that `Access-Control-Expose-Headers` is to name. */
      readonly exposed: readonly string[];
      /** The slots of `concurrency` policies that it holds. Absent without such. */
      readonly slots?: Slots;
    }
  | {
      readonly kind: 'refused';
      readonly problem: Problem;
      readonly headers: Record<string, string>;
      readonly exposed: readonly string[];
    };

const GUARD_OPTIONS = ['limiter', 'policy', 'action', 'cost', 'identify', 'retryJitter', 'exposeHeaders'];

/** Checks at construction what would otherwise fail every request. @throws {LimiterInputError} naming the option. */
export function checkGuardOptions<Req>(options: GuardOptions<Req>, known: readonly string[] = GUARD_OPTIONS): void {
  checkEdgeOptions(options, known);
  const { limiter, policy: names, action, cost } = options;
  if (typeof names !== 'string' && !Array.isArray(names)) {
    throw new LimiterInputError('policy', `must be a name or a list of names, not ${shown(names)}`);
  }
  if (names.length === 0) throw new LimiterInputError('policy', 'must name at least one policy');
  for (const name of typeof names === 'string' ? [names] : names) {
    const policy = limiter.policies.get(name);
    if (policy === undefined) {
      const all = [...limiter.policies.keys()].join(', ');
      throw new LimiterInputError('policy', `must be one of ${all}, not ${shown(name)}`);
    }
    if (cost !== undefined) checkCost(cost, policy);
  }
  if (action !== undefined) checkAction(action);
}

/** The part of {@link checkGuardOptions} that needs no policy. @throws {LimiterInputError} naming the option. */
export function checkEdgeOptions<Req>(
  options: Pick<GuardOptions<Req>, 'limiter' | 'identify' | 'retryJitter' | 'exposeHeaders'>,
  known: readonly string[],
): void {
  checkMembers('options', options, known);
  const { limiter, identify, retryJitter = 0, exposeHeaders = true } = options;
  if (typeof limiter?.consume !== 'function') {
    throw new LimiterInputError('limiter', `must be what createLimiter makes, not ${shown(limiter)}`);
  }
  checkIdentify(identify);
  if (typeof retryJitter !== 'number' || !(retryJitter >= 0 && retryJitter <= 1)) {
    throw new LimiterInputError('retryJitter', `must be a share from 0 to 1, not ${shown(retryJitter)}`);
  }
  if (typeof exposeHeaders !== 'boolean') {
    throw new LimiterInputError('exposeHeaders', `must be true or false, not ${shown(exposeHeaders)}`);
  }
}

/** @throws {LimiterInputError} unless it is a function or missing. */
function checkIdentify(identify: unknown): void {
  if (identify !== undefined && typeof identify !== 'function') {
    throw new LimiterInputError('identify', `must be a function, not ${shown(identify)}`);
  }
}

/** What a framework tells beside the request. */
export interface RequestPlace {
  /** The second argument of `identify`. */
  readonly context?: unknown;
  /** The framework's own object for the request: a guard that is registered twice on its way charges it once. */
  readonly once?: object;
}

const NOWHERE: RequestPlace = {};

/**
 * Decides one HTTP request, whatever framework it came through. A request that doesn't say who it is, or says it in a
 * way that can't be used, gets 400: letting it pass would make anonymity a way around every limit.
 * @throws {LimiterInputError} when the policy, action or cost is wrong, which is the program's fault.
 */
export async function judge<Req extends RequestHeaders>(
  request: Req,
  options: GuardOptions<Req>,
  { context, once }: RequestPlace = NOWHERE,
): Promise<Verdict> {
  const identify: IdentifyInContext<Req> = options.identify ?? byConnection;
  try {
    const named = identify(request, context);
    // Most identities are known at once: they don't pay for the few that have to be waited for.
    const subject = typeof named === 'string' || named === undefined ? named : await named;
    if (subject === undefined || subject === null) {
      return badRequest('identity', 'is missing: the request does not say who is asking');
    }
    if (typeof subject !== 'string') {
      throw new LimiterInputError(
        'identify',
        `must answer with text, undefined or a promise of them, not ${shown(subject)}`,
      );
    }
    if (once !== undefined && chargedBefore(once, options, subject)) return CHARGED;
    // Nearly all requests have one policy: no function in between that would have to be waited for.
    const ruling =
      typeof options.policy === 'string'
        ? rulingOf(await options.limiter.consume(options.policy, subject, asked(options)), subject, options)
        : await decideTogether(options.policy, subject, options);
    return verdictOf(ruling, { request, options, subject, once });
  } catch (error) {
    if (error instanceof LimiterInputError && error.field === 'subject') return badRequest('subject', error.problem);
    if (error instanceof UnusableIdentityError) return badRequest(error.field, error.problem);
    throw error;
  }
}

/** What a ruling is about. */
interface Judged<Req> {
  readonly request: Req;
  readonly options: GuardOptions<Req>;
  readonly subject: string;
  readonly once: object | undefined;
}

function verdictOf<Req extends RequestHeaders>(
  { allowed, decision, policy }: Ruling,
  { request, options, subject, once }: Judged<Req>,
): Verdict {
  const headers = rateLimitHeaders(decision, policy);
  const crossOrigin = (options.exposeHeaders ?? true) && request.headers.get('origin') !== null;
  const exposed = crossOrigin ? Object.keys(headers) : NONE;
  const slots = slotsOf({ limiter: options.limiter, subject, action: options.action }, decision);
  if (!allowed) {
    // Of several policies those in shadow mode may have given slots although another refuses.
    slots?.release();
    return { kind: 'refused', problem: denialProblem(decision), headers, exposed };
  }
  const verdict: Verdict = { kind: 'pass', headers, exposed };
  if (once !== undefined) rememberCharge(once, { options, subject });
  return slots === undefined ? verdict : { ...verdict, slots };
}

/** What the limiter says, jittered, with the policies that it is about. */
interface Ruling {
  readonly allowed: boolean;
  readonly decision: Decision | readonly Decision[];
  readonly policy: Policy | readonly Policy[];
}

const NONE: readonly string[] = [];
/** The guard in front has told the figures. */
const CHARGED: Verdict = { kind: 'pass', headers: {}, exposed: NONE };
const PLAIN: ConsumeOptions = {};

function asked<Req>({ action, cost }: GuardOptions<Req>): ConsumeOptions {
  if (action === undefined && cost === undefined) return PLAIN;
  return { ...(action === undefined ? {} : { action }), ...(cost === undefined ? {} : { cost }) };
}

function rulingOf<Req>(
  answer: Decision,
  subject: string,
  { limiter, retryJitter = 0 }: Pick<GuardOptions<Req>, 'limiter' | 'retryJitter'>,
): Ruling {
  const decision = withRetryJitter(answer, retryJitter);
  return { allowed: decision.allowed, decision, policy: policyFor(limiter, decision.policy, subject) ?? [] };
}

async function decideTogether<Req>(
  names: readonly string[],
  subject: string,
  options: GuardOptions<Req>,
): Promise<Ruling> {
  const { limiter, retryJitter = 0 } = options;
  const requests = names.map((policy) => ({ policy, subject, ...asked(options) }));
  const { allowed, decisions } = await limiter.consumeAll(requests);
  return {
    allowed,
    decision: decisions.map((decision) => withRetryJitter(decision, retryJitter)),
    policy: names.flatMap((name) => policyFor(limiter, name, subject) ?? []),
  };
}

function badRequest(field: string, detail: string): Verdict {
  const title = 'The request can not be limited';
  const problem = { status: 400, title, detail: `${field} ${detail}`, errors: [{ field, detail }] };
  return { kind: 'refused', problem, headers: {}, exposed: [] };
}
