import path from 'node:path';
import { createRequire } from 'node:module';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { HonoAdapter } from '@bull-board/hono';
import { serveStatic } from '@hono/node-server/serve-static';
import type { MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Guard } from './auth/require-scope.ts';
import type { ApiApp, ApiEnv } from './openapi/api-app.ts';
import { problem, QueueUnavailableError, tooLargeProblem } from './problems.ts';
import { MAX_BODY_BYTES } from './openapi/read-body.ts';
import { pageSecurityHeaders } from './openapi/document.ts';
import { cannotWrite, hotPathClusterOptions, hotPathOptions } from '@spillway/redis';
import { openRedis } from '@spillway/redis/ioredis';
import {
  type AuditQueue,
  createAuditQueue,
  createMaintenanceQueue,
  type MaintenanceQueue,
  queuePrefix,
} from '@spillway/worker';
import type { ApiLogger } from './logger.ts';

const bounded = bodyLimit({ maxSize: MAX_BODY_BYTES, onError: () => tooLargeProblem(MAX_BODY_BYTES) });
const secured = pageSecurityHeaders({ dataImages: true, fonts: true, base: true });

/** `/queues`: BullMQ's own board of the queues, for operators. It shows jobs and retries failed ones; nothing else. */
export function queueRoutes(app: ApiApp, queues: Pick<WorkerQueues, 'audit' | 'maintenance'>, guard: Guard): void {
  const serverAdapter = new HonoAdapter(serveStatic).setBasePath('/queues');
  createBullBoard({
    queues: [
      new BullMQAdapter(queues.audit, { description: 'Blocks and breaker events on their way to Postgres' }),
      new BullMQAdapter(queues.maintenance, {
        description: 'Cleaning up, partitions, archiving, reconciling and replays of dead letters',
      }),
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
 * Whatever removes, changes, adds or stops jobs may hold up the trail, or undo a run that was asked for. A failed job that is tried again
 * does no harm, since a second delivery changes nothing.
 */
const onlyRetries: MiddlewareHandler<ApiEnv> = async (context, next) => {
  const { method, path: asked } = context.req;
  const isRetry =
    method === 'PUT' &&
    /^\/queues\/api\/queues\/[^/]+\/(?:retry\/failed|(?!(?:clean|retry|promote)\/)[^/]+\/retry)$/u.test(asked);
  if (!isRetry && method !== 'GET' && method !== 'HEAD') {
    const detail = 'Jobs can be looked at here, and failed ones retried.';
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

/** The workers' queues: to be looked at, and to ask for maintenance. */
export interface WorkerQueues {
  readonly audit: AuditQueue;
  readonly maintenance: MaintenanceQueue;
  /**
   * Runs commands of a queue, within two seconds.
   * @throws {QueueUnavailableError} when there is no connection, or no answer in time
   */
  ask<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Never rejects. */
  close(): Promise<void>;
}

/** BullMQ reads replies as RESP2 has them. */
const legacy = {
  replyMapping: 'legacy',
  connectionName: 'spillway-api-queues',
  reconnectOnError: cannotWrite,
} as const;

/** A command without an answer for so long has failed, in ms. */
const ANSWER_MS = 2_000;

/** A connection that is about to be ready gets so long, in ms. */
const READY_MS = 250;

/**
 * Opens the queues on a connection of their own, which fails at once while Redis is unavailable: a person waits in front of a browser,
 * other than the worker, whose commands wait for Redis to come back.
 */
export function openWorkerQueues(url: string, namespace: string, logger: ApiLogger): WorkerQueues {
  const connection = openRedis(url, {
    server: { ...hotPathOptions, ...legacy },
    cluster: { ...hotPathClusterOptions, redisOptions: { ...hotPathClusterOptions.redisOptions, ...legacy } },
  });
  const onError = (error: Error): void => logger.debug({ err: error }, 'api: Redis of the queue');
  connection.on('error', onError);
  const prefix = queuePrefix(namespace);
  const audit = createAuditQueue({ connection, prefix, onError });
  const maintenance = createMaintenanceQueue({ connection, prefix, onError });
  const ready = async (): Promise<void> => {
    if (connection.status === 'ready') return;
    await within(READY_MS, new Promise((resolve) => void connection.once('ready', () => resolve(undefined))));
  };
  return {
    audit,
    maintenance,
    // BullMQ waits for a connection as long as it takes: what was refused would be done later.
    ask: async (work) => {
      await ready();
      return within(ANSWER_MS, work());
    },
    close: async () => {
      connection.disconnect();
      await Promise.all([audit.close().catch(onError), maintenance.close().catch(onError)]);
    },
  };
}

async function within<Result>(ms: number, promise: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new QueueUnavailableError()), ms);
  });
  try {
    return await Promise.race([
      promise.catch((error: unknown) => {
        throw new QueueUnavailableError(error);
      }),
      timeout,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
