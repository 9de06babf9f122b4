import { describeError, type LogLevel } from '@spillway/runtime';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { Context, MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import type { ApiEnv } from './openapi/api-app.ts';

/** What the API needs of a logger; pino's fits, and so does a child of it. */
export type ApiLogger = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** Headers that carry secrets. No code logs a header today; this protects later code. */
const secretHeaders = ['authorization', 'cookie', 'set-cookie', 'x-api-key'];

/**
 * A structured logger (one JSON object a line) that never writes a key or an authorization header.
 * @param destination where lines go. @default standard output
 */
export function createLogger(
  { name, level }: { readonly name: string; readonly level: LogLevel },
  destination?: DestinationStream,
): Logger {
  const paths = secretHeaders.flatMap((header) => [`["${header}"]`, `*["${header}"]`, `*.*["${header}"]`]);
  const options = {
    name,
    level,
    redact: { paths, censor: '***' },
    serializers: { err: (error: unknown) => describeError(error) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** What load balancers and scrapers ask, every few seconds. */
const probes: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

/** A decision that takes longer is worth a line, in ms. */
const SLOW_MS = 1_000;

/** A request that was answered. */
interface AnsweredRequest {
  readonly context: Context<ApiEnv>;
  /** Not the path, because a path can contain anything, including a key in the wrong place. */
  readonly route: string;
  readonly status: number;
  /** By `performance.now()`. */
  readonly startedAt: number;
  readonly requestId: string;
  /** Whether it asked for decisions: there are thousands a second. */
  readonly isDecision: boolean;
}

/**
 * One line for each request, with the id of the key that it came with: at `debug` for decisions that went well and for
 * probes, else at `info`. Headers and query are left out, because they may hold secrets.
 */
export function logRequest(logger: ApiLogger, request: AnsweredRequest): void {
  const { context, route, status, startedAt, requestId, isDecision } = request;
  const durationMs = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
  const who = context.get('principal');
  // A token's subject may be a person, a key's id is none.
  const principal = who?.kind === 'api-key' ? { principal: who.id } : {};
  // A probe that fails has a line of its own when that begins.
  const isQuiet = probes.has(route) || (isDecision && status < 400 && durationMs < SLOW_MS);
  const line = { requestId, method: context.req.method, route, status, durationMs, ...principal };
  if (isQuiet) logger.debug(line, 'api: request');
  else logger.info(line, 'api: request');
}

/** {@link logRequest} for every route but those of decisions. */
export function requestLog(logger: ApiLogger): MiddlewareHandler<ApiEnv> {
  return async (context, next) => {
    const startedAt = performance.now();
    await next();
    const requestId = context.get('requestId');
    // A handler that returns a Response of its own making drops the headers that were set before it.
    if (!context.res.headers.has('X-Request-Id')) context.header('X-Request-Id', requestId);
    const { status } = context.res;
    logRequest(logger, { context, route: routePath(context, -1), status, startedAt, requestId, isDecision: false });
  };
}
