import { BreakerInputError, checkName, checkObject, shown } from '../errors.ts';
import { isOfGlobal } from '../timeout/body.ts';
import type { TimeoutScope } from '../timeout/call.ts';

/** What is needed of a set of breakers. */
export interface CallRunner<PresetName extends string = string> {
  run<T>(
    name: string,
    preset: PresetName,
    fn: (signal: AbortSignal) => Promise<T>,
    options?: { readonly signal?: AbortSignal; readonly timeoutScope?: TimeoutScope },
  ): Promise<T>;
}

/** The signature of `fetch`. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** Options of {@link breakerFetch}. */
export interface BreakerFetchOptions {
  /** @default the global fetch, looked up with each call */
  readonly fetch?: Fetch;
  /** Whether the timeout and the outcome cover the reading of the response's body too. @default 'headers' */
  readonly timeoutScope?: TimeoutScope;
}

/**
 * A `fetch` behind a breaker. A response is passed on whatever its status; 5xx, 408 and network errors count as failures,
 * and 429 opens the breaker for the whole fleet for its `Retry-After`. The request's own signal still works: its abort is
 * not counted, and that of an `AbortSignal.timeout` counts as a timeout.
 * @param name the breaker's, or a function that names one by the URL, such as `({ host }) => host`
 * @example
 * ```ts
 * const runware = breakerFetch(breakers, 'runware', 'ai_provider');
 * const response = await runware('https://api.runware.ai/v1', { method: 'POST', body });
 * ```
 * @throws {CircuitOpenError} through the promise, while the breaker refuses.
 * @throws {CallTimeoutError} through the promise.
 * @throws {BreakerInputError} at construction, when the name can't be used.
 */
export function breakerFetch<PresetName extends string>(
  breakers: CallRunner<PresetName>,
  name: string | ((url: URL) => string),
  preset: NoInfer<PresetName>,
  options: BreakerFetchOptions = {},
): Fetch {
  checkObject('options', options, ['fetch', 'timeoutScope']);
  const { fetch: inner, timeoutScope = 'headers' } = options;
  if (inner !== undefined && typeof inner !== 'function') {
    throw new BreakerInputError('fetch', `must be a function, not ${shown(inner)}`);
  }
  if (typeof name !== 'function') checkName(name);
  if (timeoutScope !== 'headers' && timeoutScope !== 'body') {
    throw new BreakerInputError('timeoutScope', `must be one of headers, body, not ${shown(timeoutScope)}`);
  }
  return async (input, init) => {
    const breaker = typeof name === 'function' ? name(new URL(isOfGlobal(input, Request) ? input.url : input)) : name;
    const signal = signalOf(input, init);
    return breakers.run(
      breaker,
      preset,
      (composed) => (inner ?? globalThis.fetch)(input, { ...init, signal: composed }),
      signal === undefined ? { timeoutScope } : { timeoutScope, signal },
    );
  };
}

/** As in fetch itself, a signal in `init` replaces the request's, and null takes it away. */
function signalOf(input: string | URL | Request, init: RequestInit | undefined): AbortSignal | undefined {
  if (init?.signal !== undefined) return init.signal ?? undefined;
  return isOfGlobal(input, Request) ? input.signal : undefined;
}
