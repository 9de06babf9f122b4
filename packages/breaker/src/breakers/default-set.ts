import type { Callable } from '../timeout/call.ts';
import type { Breakers, FallbackOptions, RunOptions } from './breakers.ts';

/** `withCircuitBreaker` was called before `configureCircuitBreakers`. */
export class BreakersNotConfiguredError extends Error {
  readonly code = 'breakers_not_configured';
  override readonly name = 'BreakersNotConfiguredError';

  constructor() {
    super(
      'withCircuitBreaker has no breakers yet: call configureCircuitBreakers(createBreakers({ redis })) once, before the ' +
        'first call',
    );
  }
}

/** A database client, which breakers that keep their state in tables are handed with each call. */
export interface DatabaseClient {
  from(table: string): unknown;
}

let configured: Breakers | undefined;

/** Says once, at start, which breakers {@link withCircuitBreaker} uses. */
export function configureCircuitBreakers(breakers: Breakers): void {
  configured = breakers;
}

/**
 * Calls `fn` through a breaker of the default set.
 * @example
 * ```ts
 * configureCircuitBreakers(createBreakers({ redis })); // once, at start
 * const result = await withCircuitBreaker('runware', 'ai_provider', async () => fetch(url, options));
 * ```
 * @param options a database client is taken in their place and left alone: the state is in Redis
 * @throws what {@link Breakers.run} does, and {@link BreakersNotConfiguredError}, through the promise.
 */
export function withCircuitBreaker<T>(
  name: string,
  preset: string,
  fn: Callable<T>,
  options?: RunOptions | DatabaseClient,
): Promise<T>;
export function withCircuitBreaker<T, F>(
  name: string,
  preset: string,
  fn: Callable<T>,
  options: FallbackOptions<F>,
): Promise<T | F>;
export async function withCircuitBreaker<T>(
  name: string,
  preset: string,
  fn: Callable<T>,
  options?: RunOptions | DatabaseClient,
): Promise<T> {
  if (configured === undefined) throw new BreakersNotConfiguredError();
  return configured.run(name, preset, fn, options === undefined || 'from' in options ? undefined : options);
}
