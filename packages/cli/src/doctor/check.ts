import { isRefusal } from '@spillway/db';
import { redisFault } from '@spillway/redis';
import { maskValues } from '@spillway/runtime';

/** One thing that was looked at. */
export interface Check {
  readonly check: string;
  /** `fail`: Spillway loses something or doesn't work. `warn`: it works, but not as well as it could. */
  readonly status: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to change; empty when all is well. */
  readonly advice: string;
}

/** A check that is well when `good`. */
export function check(
  name: string,
  found: string,
  good: boolean,
  otherwise: { readonly status: 'warn' | 'fail'; readonly advice: string },
): Check {
  return good
    ? { check: name, status: 'ok', found, advice: '' }
    : { check: name, status: otherwise.status, found, advice: otherwise.advice };
}

/** Something that can't be reached. */
export function unreachable(name: string, error: unknown, advice: string): Check {
  return {
    check: name,
    status: 'fail',
    found: maskValues(error instanceof Error ? error.message : String(error)),
    advice,
  };
}

/** A server of which a variable holds the URL, and that can't be used: it is away, or refuses what the URL says. */
export function unreachableServer(server: 'Redis' | 'Postgres', variable: string, error: unknown): Check {
  const refuses = isRefusal(error) || /^(?:authentication|database_refused)$/u.test(redisFault(error).code);
  const advice = refuses
    ? `Correct the user, the password or the database in ${variable}: ${server} is there, and refuses it.`
    : `Start ${server}, or set ${variable} to where it is.`;
  return unreachable(`${variable} reachable`, error, advice);
}
