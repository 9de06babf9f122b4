import { capacityOf } from '../algorithms/algorithm.ts';
import { checkAction, wholeNumberWithin } from '../checks.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import type { Limiter } from '../limiter/limiter.ts';
import type { Decision } from '../types.ts';
import { HEADER_CHOICES, type HeaderChoice } from './headers.ts';
import type { Identify } from './identity.ts';
import type { Problem } from './problem.ts';

/** A value, or a function that chooses it for a request, once it is known who is asking. */
export type Chosen<Value, Of> = Value | ((of: Of, subject: string) => Value | Promise<Value>);

/**
 * What to check of a request. `Req` is what `identify` reads; `Of` is what the other functions get: Hono's context,
 * Express' and Fastify's request, a `Request` elsewhere.
 *
 * A function that throws, or rejects, or gives what can't be used, goes the way of a framework's other errors, unless `onError`
 * says otherwise. A guard's own `onRefused` always does. Its `chargeIf` never does, since the answer has been made: the
 * charge stands, and a process warning tells it.
 */
export interface GuardOptions<Req = Request, Of = Req> {
  readonly limiter: Limiter;
  /** One, or several that must all admit: then either all are charged or none. `plans` makes a function for it. */
  readonly policy: Chosen<string | readonly string[], Of>;
  /** What the subject wants to do; windows of two actions are apart. @default 'default' */
  readonly action?: Chosen<string, Of>;
  /** Units, from 1 on. @default 1 */
  readonly cost?: Chosen<number, Of>;
  /**
   * The subject of a request. @default the address of the connection, if the framework provides it; otherwise required
   */
  readonly identify?: Identify<Req>;
  /** Requests that pass unseen: nothing is charged, and no headers are sent. @default none */
  readonly skip?: (of: Of) => boolean | Promise<boolean>;
  /** Which rate limit headers are sent: the IETF draft's, the three `X-RateLimit-…`, both or none. @default 'both' */
  readonly headers?: HeaderChoice;
  /**
   * What becomes of a request for which one of the functions above failed, or gave what can't be used. `throw`: the error goes
   * to the framework. `unavailable`: the request is treated as while Redis is away, by its policies' `onUnavailable`, where
   * `local` refuses; a process warning reports each such error once, 20 of a limiter at most. @default 'throw'
   */
  readonly onError?: 'throw' | 'unavailable';
  /**
   * Lengthens the wait of refused clients by a random part of at most this share of it, 0 to 1, so that they
   * don't all come back at once. @default 0
   */
  readonly retryJitter?: number;
  /**
   * Whether pages of other origins may read the rate limit headers: when a request has an `Origin`, they are added to
   * `Access-Control-Expose-Headers`. @default true
   */
  readonly exposeHeaders?: boolean;
}

/** What a guard decided: `context.get('rateLimit')` in Hono, `request.rateLimit` in Express and Fastify. */
export interface RateLimitInfo {
  /** Who is asking. */
  readonly subject: string;
  /** The decision; of several policies the one that refuses for longest, else the one with the smallest share left. */
  readonly decision: Decision;
  /** The decisions of all policies, in their order. */
  readonly decisions: readonly Decision[];
}

/** What a refusal of your own is made of. Its headers are on the answer already, or are put there. */
export interface Refusal {
  /** What is sent otherwise, as problem+json. Its `status` is 429, 503 while Redis is away, or 400 for a request without identity. */
  readonly problem: Problem;
  /** Absent for a request without identity, and where one of the guard's functions failed. */
  readonly rateLimit?: RateLimitInfo;
}

const EDGE_OPTIONS = ['limiter', 'identify', 'retryJitter', 'exposeHeaders'] as const;
const CHOICES = ['policy', 'action', 'cost', 'skip', 'headers', 'onError'] as const;

/**
 * Checks at construction what would otherwise fail every request.
 * @param functions further options of an adapter, which are functions.
 * @param others further options, which the adapter checks itself.
 * @throws {LimiterInputError} naming the option.
 */
export function checkGuardOptions<Req, Of>(
  options: GuardOptions<Req, Of>,
  functions: readonly string[],
  others: readonly string[] = [],
): void {
  checkEdgeOptions(options, [...EDGE_OPTIONS, ...CHOICES, ...functions, ...others]);
  for (const name of ['skip', ...functions]) checkFunction(name, Reflect.get(options, name));
  const { limiter, policy, action, cost, headers = 'both', onError = 'throw' } = options;
  if (typeof policy !== 'function') {
    for (const name of checkPolicy(limiter, policy)) {
      const known = limiter.policies.get(name);
      if (known !== undefined && typeof cost === 'number') wholeNumberWithin('cost', cost, 1, capacityOf(known));
    }
  }
  if (typeof cost !== 'function' && typeof cost !== 'number' && cost !== undefined) {
    throw new LimiterInputError('cost', `must be a number or a function, not ${shown(cost)}`);
  }
  if (action !== undefined && typeof action !== 'function') checkAction(action);
  checkOneOf('headers', headers, HEADER_CHOICES);
  checkOneOf('onError', onError, ['throw', 'unavailable']);
}

/** The names of one policy or of several. @throws {LimiterInputError} for one that the limiter doesn't have, or that is named twice. */
export function checkPolicy(limiter: Limiter, policy: unknown): readonly string[] {
  const names: readonly unknown[] | undefined = Array.isArray(policy)
    ? policy
    : typeof policy === 'string'
      ? [policy]
      : undefined;
  if (names === undefined) {
    throw new LimiterInputError('policy', `must be a name or a list of names, not ${shown(policy)}`);
  }
  if (names.length === 0) throw new LimiterInputError('policy', 'must name at least one policy');
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new LimiterInputError('policy', `must not name ${shown(twice)} twice`);
  return names.map((name) => {
    if (typeof name === 'string' && (limiter.policies.has(name) || limiter.live?.policy(name) !== undefined))
      return name;
    throw new LimiterInputError(
      'policy',
      `must be one of ${[...limiter.policies.keys()].join(', ')}, not ${shown(name)}`,
    );
  });
}

/** The part of {@link checkGuardOptions} that needs no policy. @throws {LimiterInputError} naming the option. */
export function checkEdgeOptions(
  options: Pick<GuardOptions<never>, (typeof EDGE_OPTIONS)[number]>,
  known: readonly string[],
): void {
  checkMembers('options', options, known);
  const { limiter, identify, retryJitter = 0, exposeHeaders = true } = options;
  if (typeof limiter?.consume !== 'function') {
    throw new LimiterInputError('limiter', `must be what createLimiter makes, not ${shown(limiter)}`);
  }
  checkFunction('identify', identify);
  if (typeof retryJitter !== 'number' || !(retryJitter >= 0 && retryJitter <= 1)) {
    throw new LimiterInputError('retryJitter', `must be a share from 0 to 1, not ${shown(retryJitter)}`);
  }
  if (typeof exposeHeaders !== 'boolean') {
    throw new LimiterInputError('exposeHeaders', `must be true or false, not ${shown(exposeHeaders)}`);
  }
}

function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') {
    throw new LimiterInputError(name, `must be a function, not ${shown(value)}`);
  }
}

function checkOneOf(name: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) {
    throw new LimiterInputError(name, `must be one of ${allowed.join(', ')}, not ${shown(value)}`);
  }
}
