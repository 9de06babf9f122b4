import { createRequire } from 'node:module';
import path from 'node:path';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { HonoAdapter } from '@bull-board/hono';
import { serveStatic } from '@hono/node-server/serve-static';
import type { MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp, ApiEnv } from '../openapi/api-app.ts';
import { pageSecurityHeaders } from '../page-security.ts';
import { problem, tooLargeProblem } from '../problems.ts';
import { MAX_BODY_BYTES } from '../read-body.ts';
import type { WorkerQueues } from './worker-queues.ts';

const bounded = bodyLimit({ maxSize: MAX_BODY_BYTES, onError: () => tooLargeProblem(MAX_BODY_BYTES) });
const secured = pageSecurityHeaders({ dataImages: true, fonts: true, base: true });

/** `/queues`: BullMQ's own board of the queues, for operators. It shows jobs and retries failed ones; nothing else. */
export function queueRoutes(app: ApiApp, queues: Pick<WorkerQueues, 'audit' | 'maintenance'>, guard: Guard): void {
  const serverAdapter = new HonoAdapter(serveStatic).setBasePath('/queues');
  createBullBoard({
    queues: [
      new BullMQAdapter(queues.audit, { description: 'Blocks and breaker events on their way to Postgres' }),
      new BullMQAdapter(queues.maintenance, { description: 'Cleaning up, partitions, archiving and reconciling' }),
    ],
    serverAdapter,
    options: {
      uiBasePath: path.dirname(createRequire(import.meta.url).resolve('@bull-board/ui/package.json')),
      uiConfig: {
        boardTitle: 'Spillway queues',
        hideDocsLink: true,
        miscLinks: [{ text: 'Dashboard', url: '/dashboard' }],
      },
    },
  });
  for (const route of ['/queues', '/queues/*']) {
    app.use(route, toSignIn, guard('operate').middleware, secured, onlyRetries, bounded, withoutFonts);
  }
  app.route('/queues', serverAdapter.registerPlugin());
}

/** A browser without a session is sent to the login page; any other client gets 401. */
const toSignIn: MiddlewareHandler<ApiEnv> = async (context, next) => {
  await next();
  const wantsPage = context.req.method === 'GET' && context.req.header('Accept')?.includes('text/html') === true;
  if (context.res.status === 401 && wantsPage) context.res = context.redirect('/dashboard');
};

/**
 * A job holds events that are nowhere else: whatever removes, changes, adds or stops jobs would tear a hole into the trail.
 * A failed one that is tried again does no harm, since a second delivery changes nothing.
 */
const onlyRetries: MiddlewareHandler<ApiEnv> = async (context, next) => {
  const { method, path: asked } = context.req;
  const isRetry =
    method === 'PUT' &&
    /^\/queues\/api\/queues\/[^/]+\/(?:retry\/failed|(?!(?:clean|retry|promote)\/)[^/]+\/retry)$/u.test(asked);
  if (!isRetry && method !== 'GET' && method !== 'HEAD') {
    const detail = 'Jobs hold events that are nowhere else: here they can be looked at, and failed ones retried.';
    return problem('read-only-queues', { detail });
  }
  await next();
  return undefined;
};

/** The board's page links fonts of another site; the policy refuses them, but then every visit complains. */
const withoutFonts: MiddlewareHandler<ApiEnv> = async (context, next) => {
  await next();
  if (context.res.headers.get('Content-Type')?.startsWith('text/html') !== true) return;
  const page = await context.res.text();
  context.res = new Response(page.replaceAll(/<link\b[^>]*\bhref="https?:[^>]*>/gu, ''), context.res);
};
