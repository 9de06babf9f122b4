import { LRUCache } from 'lru-cache';
import type { LivePolicies } from '../live/live-policies.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';

/** Who has which plan. `Of` is what a guard's functions get, see `GuardOptions`. */
export interface PlansOptions<Of> {
  /** The policy, or policies, of a subject; undefined for one that has no plan. */
  readonly lookup: (
    subject: string,
    of: Of,
  ) => string | readonly string[] | undefined | Promise<string | readonly string[] | undefined>;
  /** The policy of a subject without a plan. */
  readonly fallback: string;
  /**
   * Where plans are: a name that `lookup` gives stands for the policies of the plan of that name, where there is one, as they are
   * at each request. @default names are policies
   */
  readonly live?: Pick<LivePolicies, 'plan'>;
  /** How long an answer is kept, in ms. @default 60000 */
  readonly ttlMs?: number;
  /** For how many subjects answers are kept. @default 10000 */
  readonly max?: number;
}

/**
 * A `policy` option for guards: who has which plan, looked up by a function of yours, in a database for example. Requests of
 * one subject share a lookup. While lookups fail, a subject keeps the plan that was found last; one without gives the error
 * to the guard. Overrides that are changed at run time hold above the plan's policy.
 * @example
 * ```ts
 * const policy = plans({ lookup: async (userId) => (await findUser(userId))?.plan, fallback: 'free' });
 * app.use('/api/*', rateLimit({ limiter, policy, identify }));
 * ```
 * @throws {LimiterInputError} naming the option that can't be used.
 */
export function plans<Of>(options: PlansOptions<Of>): (of: Of, subject: string) => Promise<string | readonly string[]> {
  checkMembers('plans', options, ['lookup', 'fallback', 'live', 'ttlMs', 'max']);
  const { lookup, fallback, live, ttlMs = 60_000, max = 10_000 } = options;
  if (live !== undefined && typeof live?.plan !== 'function') {
    throw new LimiterInputError('live', `must be limiter.live, of a limiter with live: true, not ${shown(live)}`);
  }
  if (typeof lookup !== 'function') throw new LimiterInputError('lookup', `must be a function, not ${shown(lookup)}`);
  if (typeof fallback !== 'string')
    throw new LimiterInputError('fallback', `must be a policy's name, not ${shown(fallback)}`);
  for (const [name, value] of Object.entries({ ttlMs, max })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new LimiterInputError(name, `must be a whole number from 1 on, not ${shown(value)}`);
    }
  }
  const cache = new LRUCache<string, string | readonly string[], { readonly of: Of }>({
    max,
    ttl: ttlMs,
    fetchMethod: async (subject, last, { context }) => {
      try {
        return (await lookup(subject, context.of)) ?? fallback;
      } catch (error) {
        if (last === undefined) throw error;
        return last;
      }
    },
  });
  return async (of, subject) => {
    const found = (await cache.fetch(subject, { context: { of } })) ?? fallback;
    if (live === undefined) return found;
    if (typeof found === 'string') return live.plan(found) ?? found;
    return [...new Set(found.flatMap((name) => live.plan(name) ?? name))];
  };
}
