import type { Verify } from '../auth/bounds.ts';
import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Filter, type RangeName, RANGES, type Snapshot } from './snapshot-shape.ts';
import { serveStatic } from '@hono/node-server/serve-static';
import type { Queryable } from '@spillway/db';
import type { Context, MiddlewareHandler } from 'hono';
import { type SSEStreamingApi, streamSSE } from 'hono/streaming';
import { credentialOf, isSameOrigin, MAX_TOKEN, type Sessions } from '../auth/credential.ts';
import { crossSite, forbidden, type Guard, principalOf, allows } from '../auth/require-scope.ts';
import type { Authenticator, Verdict, ApiApp, ApiEnv } from '../openapi/api-app.ts';
import type { ApiLogger } from '../logger.ts';
import { boundedText } from '../openapi/fields.ts';
import { badRequestProblem, problem } from '../problems.ts';
import { readBody } from '../openapi/read-body.ts';
import { snapshotReader } from './snapshot.ts';
import { sharedSnapshots } from './shared.ts';
import { pageSecurityHeaders } from '../openapi/document.ts';

/** What the dashboard works with. */
export interface DashboardDeps {
  readonly db: Queryable;
  readonly logger: ApiLogger;
  /** Names of the policies in code. */
  readonly tiers: readonly string[];
  readonly authenticator: Authenticator;
  /** Checks the key of a login. */
  readonly verify: Verify;
  readonly sessions: Sessions;
  readonly guard: Guard;
  /** Aborted when the server is about to end: open pages are asked to reconnect, and don't delay it. */
  readonly ending: AbortSignal;
  /** How often open pages get new figures, in ms. @default 2000 */
  readonly everyMs?: number;
  /** How many pages may be open. @default 32 of one key, 256 of all */
  readonly streams?: StreamBounds;
}

/** Where the built page lies, from `src` and from `dist`: `index.html` and what it loads. Absent until the package was built. */
export const pageFolder: string = fileURLToPath(new URL('../../dist/page/', import.meta.url));

const secured = pageSecurityHeaders();

/** `/dashboard`: the page, its login, and its figures as server-sent events. */
export function dashboardRoutes(app: ApiApp, deps: DashboardDeps): void {
  sessionRoutes(app, deps);
  eventRoute(app, deps);
  if (!existsSync(pageFolder)) {
    app.get('/dashboard', () => problem('dashboard-not-built'));
    return;
  }
  app.get('/dashboard', secured, serveStatic({ root: pageFolder, path: 'index.html' }));
  app.get('/dashboard/runbooks', secured, serveStatic({ root: pageFolder, path: 'runbooks.html' }));
  app.get(
    '/dashboard/assets/:file',
    secured,
    serveStatic({ root: pageFolder, rewriteRequestPath: (path) => path.replace(/^\/dashboard/u, '') }),
  );
}

const sameOrigin: MiddlewareHandler<ApiEnv> = async (context, next) => {
  if (!isSameOrigin(context)) return crossSite();
  await next();
  return undefined;
};

function sessionRoutes(app: ApiApp, { verify, sessions, guard }: DashboardDeps): void {
  app.get('/dashboard/session', guard('read').middleware, (context) =>
    context.json({ scopes: context.get('principal')?.scopes ?? [] }),
  );
  app.post('/dashboard/session', sameOrigin, readBody({ maxBytes: 2 * MAX_TOKEN }), async (context) => {
    const body: unknown = await context.req.json().catch(() => undefined);
    const key = typeof body === 'object' && body !== null && 'key' in body ? body.key : undefined;
    if (typeof key !== 'string' || key === '' || key.length > MAX_TOKEN / 4) {
      return badRequestProblem([{ field: 'key', detail: 'must be an API key' }]);
    }
    const principal = principalOf(await verify(context, key));
    if (principal instanceof Response) {
      return principal.status === 401 ? problem('not-authenticated', { detail: 'This key is not valid.' }) : principal;
    }
    if (!allows(principal.scopes, 'read')) return forbidden('read');
    await sessions.open(context, key);
    return context.body(null, 204);
  });
  app.delete('/dashboard/session', (context) => {
    sessions.end(context);
    return context.body(null, 204);
  });
}

function eventRoute(app: ApiApp, deps: DashboardDeps): void {
  const { guard, ending, streams: bounds, everyMs = 2_000 } = deps;
  const snapshots = sharedSnapshots(snapshotReader(deps), everyMs / 2);
  const streams = eventStreams(ending, bounds);
  app.get('/dashboard/events', guard('read').middleware, (context) => {
    const range = context.req.query('range') ?? '1h';
    if (!isRange(range)) {
      return badRequestProblem([{ field: 'range', detail: `must be one of ${Object.keys(RANGES).join(', ')}` }]);
    }
    const filter = filterOf(context);
    if (filter instanceof Response) return filter;
    // Hono answers HEAD by the handler of GET, and its stream would never be read or closed.
    if (context.req.method === 'HEAD') return context.body(null, 200, { 'Content-Type': 'text/event-stream' });
    const place = streams.open(context.get('principal')?.id ?? '');
    if (place === undefined) return tooManyStreams();
    return streamSSE(context, async (stream) => {
      const gone = new AbortController();
      stream.onAbort(() => gone.abort());
      const over = AbortSignal.any([gone.signal, place.ending]);
      try {
        while (!over.aborted && (await sendFigures(context, stream, deps, () => snapshots.read(range, filter)))) {
          await delay(everyMs, undefined, { signal: over, ref: false }).catch(() => undefined);
        }
      } finally {
        place.end();
      }
    });
  });
}

/** Sends one snapshot; false when the client may see no more. Its credential and scope are looked at each time. */
async function sendFigures(
  context: Context<ApiEnv>,
  stream: SSEStreamingApi,
  { sessions, authenticator }: DashboardDeps,
  snapshot: () => Promise<Snapshot>,
): Promise<boolean> {
  const credential = await credentialOf(context, sessions);
  const verdict: Verdict =
    credential.kind === 'token' ? await authenticator.verify(credential.token) : { kind: 'unknown' };
  if (verdict.kind === 'unavailable') {
    await stream.write(': keys cannot be checked right now\n\n');
    return true;
  }
  if (verdict.kind === 'unknown' || !allows(verdict.principal.scopes, 'read')) {
    await stream.writeSSE({ event: 'signed-out', data: '' });
    return false;
  }
  await stream.writeSSE({ event: 'snapshot', data: JSON.stringify(await snapshot()), retry: 1_000 });
  return true;
}

function tooManyStreams(): Response {
  const detail = 'Too many pages are open, with this key or in all. Close one.';
  return problem('too-many-streams', { detail }, { 'Retry-After': '5' });
}

/** What the page filters by; an empty member is none. Neither is a subject: addresses end up in other people's logs. */
function filterOf(context: Context<ApiEnv>): Filter | Response {
  const fields = { tier: boundedText(64), action: boundedText(256) } as const;
  const errors: { readonly field: string; readonly detail: string }[] = [];
  const read = (field: keyof typeof fields): string | null => {
    const value = context.req.query(field) ?? '';
    const { error } = value === '' ? {} : fields[field].safeParse(value);
    for (const issue of error?.issues ?? []) errors.push({ field, detail: issue.message });
    return value === '' ? null : value;
  };
  const filter = { tier: read('tier'), action: read('action') };
  return errors.length > 0 ? badRequestProblem(errors) : filter;
}

function isRange(name: string): name is RangeName {
  return Object.hasOwn(RANGES, name);
}

/** Streams that are open, and the bounds on them. */
interface EventStreams {
  /**
   * Takes a place for a stream of this client; undefined when it, or all together, have as many as they may. The place must
   * be given back by `end`.
   */
  open(client: string): EventStream | undefined;
}

/** The place of one stream. */
interface EventStream {
  /** Aborted when the server wants to end. */
  readonly ending: AbortSignal;
  end(): void;
}

/** How many streams may be open at once. */
interface StreamBounds {
  /** Of one key or token subject. @default 32 */
  readonly perClient?: number;
  /** Of all together. @default 256 */
  readonly total?: number;
}

/**
 * Counts open streams. There is one listener on the server's signal however many streams come and go: one for each, never
 * removed, kept every page that was ever closed.
 */
function eventStreams(ending: AbortSignal, { perClient = 32, total = 256 }: StreamBounds = {}): EventStreams {
  const open = new Set<AbortController>();
  const counts = new Map<string, number>();
  ending.addEventListener('abort', () => open.forEach((stream) => stream.abort()), { once: true });
  return {
    open(client) {
      const count = counts.get(client) ?? 0;
      if (ending.aborted || count >= perClient || open.size >= total) return undefined;
      const controller = new AbortController();
      open.add(controller);
      counts.set(client, count + 1);
      return {
        ending: controller.signal,
        end() {
          if (!open.delete(controller)) return;
          const left = (counts.get(client) ?? 0) - 1;
          if (left > 0) counts.set(client, left);
          else counts.delete(client);
        },
      };
    },
  };
}
