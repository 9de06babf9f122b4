import { isCloudflareWorker } from '../platform.ts';
import type { Fetch, ApiFault } from './api-calls.ts';

/** Options that the HTTP stores of limiter and breaker have in common. */
export interface ApiOptions {
  /** Where the API is: `https://limits.example.com`, with a path in front if it has one. */
  readonly url: string;
  /** A key of the API. No message repeats it. */
  readonly key: string;
  /** Every call returns within this many ms, even if the API is down or hung, 1 to 60,000. @default 500 */
  readonly deadlineMs?: number;
  /**
   * How long requests are gathered for one trip while others are under way, in ms, 0 to 100. 0: those of one turn only.
   * @default 1; on Cloudflare Workers 0, where one request can't wait for another's trip
   */
  readonly gatherMs?: number;
  /** Allows an `http://` URL of another host than this one: every host on the way can read the key. @default false */
  readonly allowPlainHttp?: boolean;
  /** How requests are sent, for a service binding: `env.API.fetch.bind(env.API)`. @default the runtime's `fetch` */
  readonly fetch?: Fetch;
  /** Called once for each cause of an outage. @default a warning for each cause, and one when the API is back */
  readonly onError?: (fault: ApiFault) => void;
  /** Called once when the API answers again, at least a second after the last failure. @default none */
  readonly onRecovered?: (outage: { readonly durationMs: number; readonly failures: number }) => void;
}

/** The names of the {@link ApiOptions}. */
export const apiOptionNames: readonly (keyof ApiOptions)[] = [
  'url',
  'key',
  'deadlineMs',
  'gatherMs',
  'allowPlainHttp',
  'fetch',
  'onError',
  'onRecovered',
];

/** {@link ApiOptions}, checked and complete. */
export interface CheckedApiOptions extends Required<Pick<ApiOptions, 'key' | 'deadlineMs' | 'gatherMs' | 'fetch'>> {
  /** Without a slash at its end. */
  readonly url: string;
}

/** What is wrong with an option, as text that follows its name; it repeats neither URL nor key. */
export interface ApiOptionProblem {
  readonly field: keyof ApiOptions;
  readonly problem: string;
}

/** Checks the options and fills in what they leave out. */
export function readApiOptions(options: ApiOptions): CheckedApiOptions | ApiOptionProblem {
  const { key, deadlineMs = 500, gatherMs = isCloudflareWorker ? 0 : 1, allowPlainHttp = false } = options;
  const { fetch = (url: string, init: RequestInit) => globalThis.fetch(url, init), onError, onRecovered } = options;
  const url = hrefOf(options.url);
  const problem =
    problemOf('url', urlProblem(options.url, allowPlainHttp)) ??
    problemOf('key', keyProblem(key)) ??
    wholeProblem('deadlineMs', deadlineMs, 1, 60_000) ??
    wholeProblem('gatherMs', gatherMs, 0, 100) ??
    kindProblem('allowPlainHttp', allowPlainHttp, 'boolean') ??
    kindProblem('fetch', fetch, 'function') ??
    kindProblem('onError', onError, 'function') ??
    kindProblem('onRecovered', onRecovered, 'function');
  return problem ?? { url, key, deadlineMs, gatherMs, fetch };
}

function hrefOf(url: unknown): string {
  return typeof url === 'string' && URL.canParse(url) ? new URL(url).href.replace(/\/+$/u, '') : '';
}

function problemOf(field: keyof ApiOptions, problem: string | undefined): ApiOptionProblem | undefined {
  return problem === undefined ? undefined : { field, problem };
}

function urlProblem(url: unknown, allowPlainHttp: boolean): string | undefined {
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/u.test(parsed.protocol))
    return 'must be an http or https URL, such as https://limits.example.com';
  if (parsed.username !== '' || parsed.password !== '' || parsed.search !== '' || parsed.hash !== '')
    return 'must have no user, password, query or fragment';
  if (parsed.protocol === 'http:' && !allowPlainHttp && !isLoopback(parsed.hostname))
    return 'must begin with https://, for the key is sent along (allowPlainHttp: true sends it in clear)';
  return undefined;
}

/** Whether a host, as URLs have it, is this machine. */
function isLoopback(host: string): boolean {
  return /^(?:127(?:\.\d{1,3}){3}|\[::1\]|\[::ffff:7f[\da-f]{2}:[\da-f]{1,4}\]|(?:.+\.)?localhost\.?)$/u.test(host);
}

/** It goes into a header. */
function keyProblem(key: unknown): string | undefined {
  return typeof key === 'string' && /^[\x21-\x7e]+$/u.test(key)
    ? undefined
    : 'must be a key of the API, without blanks';
}

function wholeProblem(field: keyof ApiOptions, value: unknown, min: number, max: number): ApiOptionProblem | undefined {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return undefined;
  return { field, problem: `must be a whole number from ${min} to ${max}, not ${shown(value)}` };
}

function kindProblem(field: keyof ApiOptions, value: unknown, kind: 'boolean' | 'function') {
  // oxlint-disable-next-line valid-typeof -- one of the two above
  if (value === undefined || typeof value === kind) return undefined;
  return { field, problem: `must be a ${kind}, not ${shown(value)}` };
}

function shown(value: unknown): string {
  return typeof value === 'number' || typeof value === 'boolean' || value == null ? String(value) : `a ${typeof value}`;
}
