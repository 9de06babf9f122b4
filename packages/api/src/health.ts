import { setTimeout as delay } from 'node:timers/promises';
import { z } from '@hono/zod-openapi';
import type { Handler } from 'hono';
import type { ApiLogger } from './logger.ts';
import type { ApiApp } from './openapi/api-app.ts';
import { json, problemResponses } from './openapi/responses.ts';
import { type FieldError, problem } from './problems.ts';

/** How to find out whether a dependency is up: resolves when it is, rejects when it isn't. */
export interface Checks {
  readonly redis: () => Promise<void>;
  readonly postgres: () => Promise<void>;
}

/** `/healthz`: the process is alive. Depends on nothing, or a Redis outage would get every healthy process restarted. */
export const livenessHandler: Handler = (context) => context.json({ status: 'alive' });

/** A dependency that answers but can't be used; the detail is public. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError';
  readonly code = 'not_ready';
  readonly detail: string;

  constructor(detail: string, cause?: unknown) {
    super(detail, { cause });
    this.detail = detail;
  }
}

function detailOf(error: unknown, timeoutMs: number): string {
  if (error === undefined) return `gave no answer within ${timeoutMs} ms`;
  return error instanceof NotReadyError ? error.detail : 'is not reachable';
}

/**
 * `/readyz`: Redis and Postgres answer. 200 with `{ status: 'ready', checks: { redis: 'up', postgres: 'up' } }`; else a
 * 503 problem with the same `checks` and, in `errors`, one sentence for each that is down. Reasons with addresses and user
 * names in them are only logged.
 */
export function readinessHandler(options: {
  readonly checks: Checks;
  /** How long each check may take, in ms; they run side by side. */
  readonly timeoutMs: number;
  readonly logger: ApiLogger;
}): Handler {
  const { checks, timeoutMs, logger } = options;
  const known = new Map<keyof Checks, string>();
  const probe = async (field: keyof Checks): Promise<FieldError | undefined> => {
    const outcome = await settle(checks[field], timeoutMs);
    if (outcome === 'up') {
      if (known.delete(field)) logger.info({ dependency: field }, 'api: a dependency is back');
      return undefined;
    }
    const detail = detailOf(outcome.error, timeoutMs);
    // Any client can call this, at any rate: log only changes. A missing migration is logged where keys are read.
    if (known.get(field) !== detail && !(outcome.error instanceof NotReadyError)) {
      logger.warn({ err: outcome.error, dependency: field }, `api: ${field} ${detail}`);
    }
    known.set(field, detail);
    return { field, detail };
  };
  // Open to all: however many ask at once, each dependency is asked once.
  let asked: Promise<readonly [FieldError | undefined, FieldError | undefined]> | undefined;
  return async (context) => {
    asked ??= Promise.all([probe('redis'), probe('postgres')]).finally(() => (asked = undefined));
    const [redis, postgres] = await asked;
    const states = { redis: redis === undefined ? 'up' : 'down', postgres: postgres === undefined ? 'up' : 'down' };
    const errors = [redis, postgres].filter((error) => error !== undefined);
    if (errors.length === 0) return context.json({ status: 'ready', checks: states });
    const detail = errors.map((error) => `${error.field} ${error.detail}`).join('; ');
    return problem('not-ready', { detail, checks: states, errors });
  };
}

const ready = z.object({ status: z.literal('ready'), checks: z.object({ redis: z.string(), postgres: z.string() }) });

/** Describes the two for the OpenAPI document. */
export function describeHealth(app: ApiApp): void {
  const common = { tags: ['health'], security: [] };
  app.openAPIRegistry.registerPath({
    ...common,
    method: 'get',
    path: '/healthz',
    operationId: 'isAlive',
    summary: 'Is the process alive?',
    responses: { 200: json(z.object({ status: z.literal('alive') }), 'Alive.') },
  });
  app.openAPIRegistry.registerPath({
    ...common,
    method: 'get',
    path: '/readyz',
    operationId: 'isReady',
    summary: 'Do Redis and Postgres answer?',
    responses: { 200: json(ready, 'Both do.'), ...problemResponses(503) },
  });
}

/** `error` is absent when time ran out. */
async function settle(check: () => Promise<void>, timeoutMs: number): Promise<'up' | { readonly error?: unknown }> {
  const timer = new AbortController();
  try {
    const late = delay(timeoutMs, {}, { signal: timer.signal, ref: false });
    return await Promise.race([check().then(() => 'up' as const), late]);
  } catch (error) {
    return { error };
  } finally {
    timer.abort();
  }
}

/** What to do about a database without our tables. */
export const NOT_MIGRATED = 'is not migrated: run spillway migrate';

/** undefined_table, undefined_column, undefined_function and invalid_schema_name, as Postgres calls them. */
const states = new Set(['42P01', '42703', '42883', '3F000']);

/** Whether a statement failed because our tables, or those of this version, are not there. */
export function isNotMigrated(error: unknown): boolean {
  let link = error;
  // Bounded, since a cause may be its own ancestor.
  for (let depth = 0; depth < 8 && link instanceof Error; depth += 1) {
    const code: unknown = Reflect.get(link, 'code');
    if (typeof code === 'string' && states.has(code)) return true;
    link = link.cause;
  }
  return false;
}
