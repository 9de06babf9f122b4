import { type Change, type ConnectionSource, type Queryable, recordChange } from '@spillway/db';
import type { ByHand } from '@spillway/limiter';
import type { Context } from 'hono';
import type { ApiEnv } from '../openapi/api-app.ts';
import { omitUndefined } from '../openapi/fields.ts';

/** A change without its actor, which is the request's principal. */
export type ChangeOf = Omit<Change, 'actor'>;

/**
 * Makes changes outside of Redis, and records their actor. Changes of limiter and breakers are recorded
 * by the scripts that make them: their routes only pass the actor, by {@link actorOf}.
 */
export interface Recorder {
  /** Makes a change outside of Postgres; without a row of it the change isn't made. */
  change<Result>(context: Context<ApiEnv>, change: ChangeOf, work: () => Promise<Result>): Promise<Result>;
  /** Makes a change in Postgres in one transaction with its row; no row where `of` gives none. */
  within<Result>(
    context: Context<ApiEnv>,
    work: (db: Queryable) => Promise<Result>,
    of: (result: Result) => ChangeOf | undefined,
  ): Promise<Result>;
}

/** Writes into `spillway.changes`. */
export function recorder(db: ConnectionSource & Queryable): Recorder {
  return {
    change: async (context, change, work) => recordChange(db, work, { actor: actorOf(context), ...change }),
    within: async (context, work, of) =>
      recordChange(db, work, (result) => {
        const change = of(result);
        return change && { actor: actorOf(context), ...change };
      }),
  };
}

/** For an application without Postgres, which has no trail. */
export const noRecorder: Pick<Recorder, 'change'> = { change: async (_context, _change, work) => work() };

/** Who asks, as the trail names it: `api-key:<id>`, `jwt:<subject>`; at most 200 characters. */
export function actorOf(context: Context<ApiEnv>): string {
  const principal = context.get('principal');
  if (principal === undefined) throw new Error('a change needs a guarded route');
  return `${principal.kind}:${principal.id}`.slice(0, 200).toWellFormed();
}

/** Actor and reason, in the form in which limiters take a manual change. */
export function byHand(context: Context<ApiEnv>, why?: string | null): ByHand {
  return { actor: actorOf(context), ...omitUndefined({ why: why ?? undefined }) };
}
