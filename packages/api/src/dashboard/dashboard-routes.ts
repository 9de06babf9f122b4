import { existsSync } from 'node:fs';
import { dashboardFolder, type RangeName, RANGES } from '@spillway/dashboard';
import { serveStatic } from '@hono/node-server/serve-static';
import { problemResponse } from '@spillway/limiter/http';
import type { Queryable } from '@spillway/db';
import { streamSSE } from 'hono/streaming';
import { isSameOrigin, MAX_TOKEN } from '../auth/credential.ts';
import { allows, type Authenticator } from '../auth/principal.ts';
import { forbidden, type Guard, principalOf } from '../auth/require-scope.ts';
import type { ApiLogger } from '../logger.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { onlyOurs } from '../only-ours.ts';
import { badRequestProblem } from '../problems.ts';
import type { Sessions } from './session.ts';
import { sharedSnapshots } from './snapshots.ts';

/** What the dashboard works with. */
export interface DashboardDeps {
  readonly db: Queryable;
  readonly logger: ApiLogger;
  readonly authenticator: Authenticator;
  readonly sessions: Sessions;
  readonly guard: Guard;
  /** Aborted when the server wants to end: open pages are told to come back, and don't hold it up. */
  readonly ending: AbortSignal;
  /** How often open pages get new figures, in ms. @default 2000 */
  readonly everyMs?: number;
}

const secured = onlyOurs();

/** `/dashboard`: the page, its login, and its figures as server-sent events. */
export function dashboardRoutes(app: ApiApp, deps: DashboardDeps): void {
  sessionRoutes(app, deps);
  eventRoute(app, deps);
  if (!existsSync(dashboardFolder)) {
    app.get('/dashboard', () => problemResponse({ status: 503, title: 'The dashboard was not built' }));
    return;
  }
  app.get('/dashboard', secured, serveStatic({ root: dashboardFolder, path: 'index.html' }));
  app.get(
    '/dashboard/assets/:file',
    secured,
    serveStatic({ root: dashboardFolder, rewriteRequestPath: (path) => path.replace(/^\/dashboard/u, '') }),
  );
}

function sessionRoutes(app: ApiApp, { authenticator, sessions, guard }: DashboardDeps): void {
  app.get('/dashboard/session', guard('read').middleware, (context) =>
    context.json({ scopes: context.get('principal')?.scopes ?? [] }),
  );
  app.post('/dashboard/session', async (context) => {
    if (!isSameOrigin(context)) {
      return problemResponse({ status: 403, title: 'Not allowed', detail: 'Origin is another site, or missing.' });
    }
    const body: unknown = await context.req.json().catch(() => undefined);
    const key = typeof body === 'object' && body !== null && 'key' in body ? body.key : undefined;
    if (typeof key !== 'string' || key === '' || key.length > MAX_TOKEN / 4) {
      return badRequestProblem([{ field: 'key', detail: 'must be an API key' }]);
    }
    const principal = principalOf(await authenticator.verify(key));
    if (principal instanceof Response) {
      return principal.status === 401
        ? problemResponse({ status: 401, title: 'Not authenticated', detail: 'This key is not valid.' })
        : principal;
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
  const { guard, sessions, authenticator, ending, everyMs = 2_000 } = deps;
  const snapshots = sharedSnapshots(deps, everyMs / 2);
  app.get('/dashboard/events', guard('read').middleware, (context) => {
    const range = context.req.query('range') ?? '1h';
    if (!isRange(range)) {
      return badRequestProblem([{ field: 'range', detail: `must be one of ${Object.keys(RANGES).join(', ')}` }]);
    }
    return streamSSE(context, async (stream) => {
      const ended = new Promise<void>((resolve) => {
        stream.onAbort(resolve);
        ending.addEventListener('abort', () => resolve(), { once: true });
      });
      while (!stream.aborted && !ending.aborted) {
        // The credential is looked at each time: a key that was revoked sees nothing more.
        const token =
          context.req.header('Authorization')?.replace(/^Bearer +/iu, '') ?? (await sessions.tokenOf(context));
        const verdict = await authenticator.verify(token ?? '');
        if (verdict.kind === 'unknown') {
          await stream.writeSSE({ event: 'signed-out', data: '' });
          return;
        }
        const snapshot = await snapshots.read(range);
        await stream.writeSSE({ event: 'snapshot', data: JSON.stringify(snapshot), retry: 1_000 });
        await Promise.race([stream.sleep(everyMs), ended]);
      }
    });
  });
}

function isRange(name: string): name is RangeName {
  return Object.hasOwn(RANGES, name);
}
