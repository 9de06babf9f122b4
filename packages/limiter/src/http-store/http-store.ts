import { faultReporter } from '@spillway/redis/core';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import { wholeNumberWithin } from '../policy/policy.ts';
import { localDecisions } from '../store/local-decisions.ts';
import type { LimiterStore } from '../store/store.ts';
import { apiCalls, type Fetch } from './api-calls.ts';
import type { ApiFault } from './fault.ts';
import { changing, deciding, memberOf, type Parts } from './operations.ts';
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
  const { deadlineMs, gatherMs, denyCacheMs, instances } = checked;
  const { onError, onRecovered } = options;
  const who = 'Spillway limiter';
  const faults = faultReporter({ who, decider: 'The API', meanwhile: MEANWHILE, onError, onRecovered });
  const blocks = rememberedBlocks(denyCacheMs);
  const away = localDecisions<ApiFault>({
    instances: () => instances,
    onFailed: (fault) => faults.failed(fault),
    maxWindows: MAX_LOCAL_WINDOWS,
    knownBlock: (request) => blocks.until(request),
  });
  const api = apiCalls({ ...checked, onAnswer: () => faults.answered() });
  const parts: Parts = { api, blocks, away, faults, deadlineMs };
  return { ...deciding(parts, gatherMs), ...changing(parts), close: async () => blocks.clear() };
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
