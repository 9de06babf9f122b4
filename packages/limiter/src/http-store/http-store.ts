import { faultReporter } from '@spillway/redis';
import { checkMembers, LimiterInputError, LimiterUnavailableError, shown } from '../errors.ts';
import { wholeNumberWithin } from '../policy/policy.ts';
import { localDecisions } from '../store/local-decisions.ts';
import type { LimiterStore, StoreRequest } from '../store/store.ts';
import type { ByHand, Decision } from '../types.ts';
import { DEFAULT_ACTION, parseWindowKey } from '../window-key.ts';
import { apiCalls, type Fetch, RefusedRequest } from './api-calls.ts';
import { batches } from './batches.ts';
import { readDecision, readDecisions } from './decision-answer.ts';
import { ApiFault, faultOfFetch } from './fault.ts';
import { rememberedBlocks } from './remembered-blocks.ts';

/** What {@link httpStore} needs. */
export interface HttpStoreOptions {
  /** Where the API is: `https://limits.example.com`, with a path in front if it has one. */
  readonly url: string;
  /** A key with the scope `decide`; with `operate` too for resets and blocks. */
  readonly key: string;
  /** Every decision is there after this many ms, whatever the API does, 1 to 60,000. @default 500 */
  readonly deadlineMs?: number;
  /**
   * How long requests are gathered for one trip while others are under way, in ms, 0 to 100. 0: those of one turn only.
   * @default 1; on Cloudflare Workers 0, where one request can't wait for another's trip
   */
  readonly gatherMs?: number;
  /**
   * How long a block is refused here without asking again, in ms, 0 to 60,000: an unblock elsewhere is heard so much later.
   * @default 1_000
   */
  readonly denyCacheMs?: number;
  /** By how many processes a policy with `onUnavailable: 'local'` divides its limit while the API is away. @default 1 */
  readonly instances?: number;
  /** How requests are sent, for a service binding: `env.API.fetch.bind(env.API)`. @default the runtime's `fetch` */
  readonly fetch?: Fetch;
  /** Called once for each cause of an outage. @default a warning for each cause, and one when the API is back */
  readonly onError?: (fault: ApiFault) => void;
  /** Called once when the API decides again, at least a second after the last failure. @default none */
  readonly onRecovered?: (outage: { readonly durationMs: number; readonly failures: number }) => void;
}

const OPTIONS = [
  'url',
  'key',
  'deadlineMs',
  'gatherMs',
  'denyCacheMs',
  'instances',
  'fetch',
  'onError',
  'onRecovered',
] as const;

const MAX_LOCAL_WINDOWS = 10_000;
const MEANWHILE = 'Each policy answers as its onUnavailable says until the API decides again';

/**
 * Windows behind Spillway's API, for where no TCP is: edge runtimes, or programs that may not reach Redis. The API's policies
 * decide; of a policy here the name says which, and `onUnavailable` what holds while the API is away.
 * @example
 * ```ts
 * const store = httpStore({ url: 'https://limits.example.com', key: limitsKey });
 * const limiter = createLimiter({ store, policies: [{ name: 'api', limit: 100, windowMs: 60_000 }] });
 * ```
 * @throws {LimiterInputError} naming the option and its value; never the key.
 */
export function httpStore(options: HttpStoreOptions): LimiterStore {
  const checked = checkOptions(options);
  const { deadlineMs } = checked;
  const { onError, onRecovered } = options;
  const faults = faultReporter({
    who: 'Spillway limiter',
    decider: 'The API',
    meanwhile: MEANWHILE,
    onError,
    onRecovered,
  });
  const api = apiCalls({ ...checked, onAnswer: () => faults.answered() });
  const blocks = rememberedBlocks(checked.denyCacheMs);
  const away = localDecisions<ApiFault>({
    instances: () => checked.instances,
    onFailed: (fault) => faults.failed(fault),
    maxWindows: MAX_LOCAL_WINDOWS,
    knownBlock: (request) => blocks.until(request),
  });
  const peek = async (request: StoreRequest): Promise<Decision> =>
    readDecision(await api.post(`${path(request)}/peek`, bodyOf(request)));
  const ask = batches<StoreRequest>({
    gatherMs: checked.gatherMs,
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
    if (request.isLease === true) throw new LimiterInputError('lease', 'needs Redis: over HTTP the API spends it');
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

  /** @throws {LimiterUnavailableError} */
  async function change<Answer>(
    operation: string,
    place: StoreRequest | string,
    extra: object,
    read: (answer: unknown) => Answer,
  ): Promise<Answer> {
    const body = { ...(typeof place === 'string' ? placeOf(place) : bodyOf(place)), ...extra };
    try {
      return read(await api.post(`${path(place)}/${operation}`, body));
    } catch (error) {
      const fault = faultOf(error);
      faults.failed(fault);
      throw new LimiterUnavailableError(operation, deadlineMs, fault);
    } finally {
      if (typeof place === 'string') blocks.forget(place);
    }
  }

  async function slotChange(operation: 'renew' | 'release', { key, slot, policy }: StoreRequest): Promise<Decision> {
    await change(operation, key, { slot }, readNothing);
    const { name, limit } = policy;
    const times = { resetAt: Date.now(), resetAfterMs: 0, retryAfterMs: 0 };
    return { allowed: true, policy: name, reason: 'allowed', limit, remaining: limit, ...times };
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
    charge: (request) => change('penalize', request, {}, readDecision),
    reward: (request) =>
      request.slot === undefined ? change('reward', request, {}, readDecision) : slotChange('release', request),
    renew: (request) => slotChange('renew', request),
    async reset(key, by) {
      away.forget(key);
      await change('reset', key, whyOf(by), readNothing);
    },
    block: (_policy, key, durationMs, by) =>
      change('block', key, { ...(durationMs === Infinity ? {} : { durationMs }), ...whyOf(by) }, readEnd),
    unblock(key, by) {
      away.forget(key);
      return change('unblock', key, whyOf(by), readWasBlocked);
    },
    close: async () => blocks.clear(),
  };
}

/** The answer to what the API's policy, as it is now, can never admit. */
function neverFits(state: Decision): Decision {
  return { ...state, allowed: false, reason: 'cost_above_limit', retryAfterMs: Infinity };
}

function faultOf(error: unknown): ApiFault {
  return error instanceof RefusedRequest ? error.fault : faultOfFetch(error);
}

function memberOf(answer: unknown, name: string): unknown {
  return typeof answer === 'object' && answer !== null && name in answer ? Reflect.get(answer, name) : undefined;
}

/** @throws {ApiFault} unless the answer is 204. */
function readNothing(answer: unknown): void {
  if (answer !== undefined) throw new ApiFault('client_error', 'an answer where none is expected');
}

/** @throws {ApiFault} */
function readEnd(answer: unknown): number {
  const until = memberOf(answer, 'blockedUntil');
  if (until === null) return Infinity;
  if (typeof until !== 'number') throw new ApiFault('client_error', 'blockedUntil');
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

interface Window {
  readonly policy: string;
  readonly subject: string;
  readonly action: string;
}

function windowOf(key: string): Window {
  const window = parseWindowKey(key);
  if (window === undefined) throw new LimiterInputError('key', 'must be the key of a window');
  return window;
}

function path(place: StoreRequest | string): string {
  return `/v1/limits/${encodeURIComponent(typeof place === 'string' ? windowOf(place).policy : place.policy.name)}`;
}

function placeOf(key: string): object {
  const { subject, action } = windowOf(key);
  return action === DEFAULT_ACTION ? { subject } : { subject, action };
}

function bodyOf({ key, cost }: StoreRequest): object {
  return { ...placeOf(key), ...(cost === 1 ? {} : { cost }) };
}

type Checked = Required<Omit<HttpStoreOptions, 'onError' | 'onRecovered'>>;

/** @throws {LimiterInputError} */
function checkOptions(options: HttpStoreOptions): Checked {
  checkMembers('options', options, OPTIONS);
  const { key, deadlineMs = 500, denyCacheMs = 1_000, instances = 1, gatherMs = isWorker() ? 0 : 1 } = options;
  const { fetch = (url: string, init: RequestInit) => globalThis.fetch(url, init) } = options;
  wholeNumberWithin('deadlineMs', deadlineMs, 1, 60_000);
  wholeNumberWithin('gatherMs', gatherMs, 0, 100);
  wholeNumberWithin('denyCacheMs', denyCacheMs, 0, 60_000);
  wholeNumberWithin('instances', instances, 1, 1_000_000);
  for (const [name, value] of Object.entries({ fetch, onError: options.onError, onRecovered: options.onRecovered })) {
    if (value !== undefined && typeof value !== 'function') {
      throw new LimiterInputError(name, `must be a function, not ${shown(value)}`);
    }
  }
  // It goes into a header, and into no message.
  if (typeof key !== 'string' || !/^[\x21-\x7e]+$/u.test(key)) {
    throw new LimiterInputError('key', 'must be a key of the API, without blanks');
  }
  return { url: checkUrl(options.url), key, deadlineMs, gatherMs, denyCacheMs, instances, fetch };
}

function checkUrl(url: unknown): string {
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/u.test(parsed.protocol)) {
    throw new LimiterInputError('url', 'must be an http or https URL, such as https://limits.example.com');
  }
  if (parsed.username !== '' || parsed.password !== '' || parsed.search !== '' || parsed.hash !== '') {
    throw new LimiterInputError('url', 'must have no user, password, query or fragment');
  }
  return parsed.href.replace(/\/+$/u, '');
}

/** There a promise of one request can't be settled by another's trip. */
function isWorker(): boolean {
  const navigator: unknown = Reflect.get(globalThis, 'navigator');
  return memberOf(navigator, 'userAgent') === 'Cloudflare-Workers';
}
