import { type Queryable, readBehindMs } from '@spillway/db';
import type { MiddlewareHandler } from 'hono';
import { keepFor } from '../dashboard/shared.ts';

/** The header of an answer that was read from a replica: how far it is behind, in ms. */
export const BEHIND_HEADER = 'Spillway-Behind-Ms';

/** How often a replica is asked, in ms. */
const ASK_EVERY_MS = 1_000;

/** Adds {@link BEHIND_HEADER} to answers; not where the database turns out to be no replica. */
export function sayHowFarBehind(reads: Queryable): MiddlewareHandler {
  const behind = keepFor(ASK_EVERY_MS, async () => readBehindMs(reads));
  // A list that could be read is a valid answer, even if its age is unknown.
  const told = async (): Promise<number | null> => behind().catch(() => Number.POSITIVE_INFINITY);
  return async (context, next) => {
    await next();
    if (!context.res.ok || context.req.method !== 'GET') return;
    const ms = await told();
    if (ms !== null) context.header(BEHIND_HEADER, Number.isFinite(ms) ? String(Math.ceil(ms)) : 'unknown');
  };
}
