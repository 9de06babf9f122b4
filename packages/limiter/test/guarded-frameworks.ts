import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import {
  type ArgumentsHost,
  type CanActivate,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  Module,
  Req,
  Res,
  type Type,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import express from 'express';
import express4 from 'express-4';
import fastify from 'fastify';
import { Hono } from 'hono';
import { onTestFinished } from 'vitest';
import { rateLimit as expressLimit, type RateLimitOptions } from '../src/express/index.ts';
import { rateLimit as fastifyLimit } from '../src/fastify/index.ts';
import { rateLimit as honoLimit } from '../src/hono/index.ts';
import type { RateLimitInfo, Refusal } from '../src/http/guard-options.ts';
import { guard } from '../src/http/guard.ts';
import type { Limiter } from '../src/limiter/limiter.ts';

/** What every framework here lets a test choose, as functions of two headers of the request. */
export interface Choices {
  readonly policy?: (header: (name: string) => string, subject: string) => string | readonly string[] | Promise<string>;
  readonly cost?: (header: (name: string) => string) => number;
  readonly action?: (header: (name: string) => string) => string;
  readonly skip?: (header: (name: string) => string) => boolean | Promise<boolean>;
  readonly headers?: 'draft' | 'legacy' | 'both' | 'none';
  readonly onError?: 'throw' | 'unavailable';
  readonly chargeIf?: (status: number) => boolean | Promise<boolean>;
  readonly onRefused?: (refusal: Refusal) => string | Promise<string>;
}

/** Serves an application that limits by these choices; its route answers with the header `X-Status`' status. Gives its URL. */
export type Serve = (
  limiter: Limiter,
  choices: Choices,
  told: (info: RateLimitInfo | undefined) => void,
) => Promise<string>;

async function urlOf(server: Server): Promise<string> {
  if (!server.listening) await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server of Node that knows only a handler's `Request` and `Response`. */
function serverOf(handle: (request: Request) => Promise<Response>): Server {
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const headers = new Headers(request.headers as Record<string, string>);
    const made = await handle(new Request('http://app.test/', { headers })).catch(
      (error: unknown) => new Response((error as Error).message, { status: 500 }),
    );
    response.writeHead(made.status, Object.fromEntries(made.headers));
    response.end(await made.text());
  }
  return createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
}

type Of<T> = (of: T) => (name: string) => string;

/** The choices as functions of what a framework gives. */
function chosen<T>(choices: Choices, header: Of<T>) {
  const { policy, cost, action, skip, headers, onError } = choices;
  return {
    policy: policy === undefined ? 'free' : (of: T, subject: string) => policy(header(of), subject),
    ...(cost === undefined ? {} : { cost: (of: T) => cost(header(of)) }),
    ...(action === undefined ? {} : { action: (of: T) => action(header(of)) }),
    ...(skip === undefined ? {} : { skip: (of: T) => skip(header(of)) }),
    ...(headers === undefined ? {} : { headers }),
    ...(onError === undefined ? {} : { onError }),
  };
}

const nodeHeader: Of<{ headers: NodeJS.Dict<string | string[]> }> = (request) => (name) =>
  String(request.headers[name.toLowerCase()] ?? '');

function honoApp(
  limiter: Limiter,
  { chargeIf, onRefused, ...choices }: Choices,
  told: (info?: RateLimitInfo) => void,
): Hono {
  const app = new Hono();
  app.use(
    honoLimit({
      limiter,
      identify: () => 'ada',
      ...chosen(
        choices,
        (context: { req: { header(name: string): string | undefined } }) => (name) => context.req.header(name) ?? '',
      ),
      ...(chargeIf === undefined ? {} : { chargeIf: ({ res }) => chargeIf(res.status) }),
      ...(onRefused === undefined
        ? {}
        : { onRefused: async (context, refusal) => context.text(await onRefused(refusal), 418) }),
    }),
  );
  app.get('/', (context) => {
    told(context.get('rateLimit'));
    return new Response('in', { status: Number(context.req.header('x-status') ?? 200) });
  });
  app.onError((error, context) => context.text(error.message, 500));
  return app;
}

type NodeAsked = IncomingMessage & { readonly rateLimit?: RateLimitInfo };

/** The choices as options of the door of Express, Nest and Node's own server. */
function expressOptions<Req extends IncomingMessage>(
  limiter: Limiter,
  { chargeIf, onRefused, ...choices }: Choices,
): RateLimitOptions<Req> {
  return {
    limiter,
    identify: () => 'ada',
    ...chosen<Req>(choices, nodeHeader),
    ...(chargeIf === undefined ? {} : { chargeIf: ({ statusCode }) => chargeIf(statusCode) }),
    ...(onRefused === undefined
      ? {}
      : {
          onRefused: async (_request, response, _next, refusal) => {
            const text = await onRefused(refusal);
            response.statusCode = 418;
            response.end(text);
          },
        }),
  };
}

function expressApp(
  framework: typeof express | typeof express4,
  limiter: Limiter,
  choices: Choices,
  told: (info: RateLimitInfo | undefined) => void,
): express.Express {
  const app = framework() as express.Express;
  app.use(expressLimit(expressOptions<express.Request>(limiter, choices)));
  app.get('/', (request, response) => {
    told(request.rateLimit);
    response.status(Number(nodeHeader(request)('x-status') || 200)).send('in');
  });
  app.use(((error: Error, _request, response, _next) => {
    response.status(500).send(error.message);
  }) as express.ErrorRequestHandler);
  return app;
}

/** Nest hands what its guard rejects with to exception filters, and an answer that was sent is left alone. */
function nestModule(limiter: Limiter, choices: Choices, told: (info: RateLimitInfo | undefined) => void): Type {
  const limit = expressLimit(expressOptions<express.Request>(limiter, choices));
  class Guard implements CanActivate {
    canActivate(context: ExecutionContext): Promise<boolean> {
      const http = context.switchToHttp();
      return new Promise((resolve, reject) => {
        const next = (error?: unknown): void => (error === undefined ? resolve(true) : reject(error));
        const response = http.getResponse<express.Response>();
        response.once('finish', () => resolve(false));
        void limit(http.getRequest<express.Request>(), response, next);
      });
    }
  }
  class Filter implements ExceptionFilter {
    catch(error: Error, host: ArgumentsHost): void {
      const response = host.switchToHttp().getResponse<express.Response>();
      if (!response.headersSent) response.status(500).send(error.message);
    }
  }
  class Articles {
    read(request: express.Request, response: express.Response): void {
      told(request.rateLimit);
      response.status(Number(nodeHeader(request)('x-status') || 200)).send('in');
    }
  }
  Controller()(Articles);
  UseGuards(new Guard())(Articles);
  UseFilters(new Filter())(Articles);
  Get('/')(Articles.prototype, 'read', Object.getOwnPropertyDescriptor(Articles.prototype, 'read') ?? {});
  Req()(Articles.prototype, 'read', 0);
  Res()(Articles.prototype, 'read', 1);
  // oxlint-disable-next-line typescript/no-extraneous-class -- Nest keeps a module's parts beside its class
  class App {}
  Module({ controllers: [Articles] })(App);
  return App;
}

/** The frameworks that a guard is for. */
export const frameworks: Readonly<Record<string, Serve>> = {
  'Hono on Node': async (limiter, choices, told) =>
    urlOf(serve({ fetch: honoApp(limiter, choices, told).fetch, hostname: '127.0.0.1', port: 0 }) as Server),

  'Hono elsewhere': async (limiter, choices, told) => {
    const app = honoApp(limiter, choices, told);
    // Without the bindings of @hono/node-server, as on other runtimes.
    return urlOf(serverOf(async (request) => app.fetch(request)));
  },

  'Express 5': async (limiter, choices, told) =>
    urlOf(expressApp(express, limiter, choices, told).listen(0, '127.0.0.1')),

  'Express 4': async (limiter, choices, told) =>
    urlOf(expressApp(express4, limiter, choices, told).listen(0, '127.0.0.1')),

  NestJS: async (limiter, choices, told) => {
    const app = await NestFactory.create(nestModule(limiter, choices, told), { logger: false });
    await app.listen(0, '127.0.0.1');
    onTestFinished(async () => app.close());
    return app.getUrl();
  },

  'node:http': async (limiter, choices, told) => {
    const limit = expressLimit(expressOptions<NodeAsked>(limiter, choices));
    return urlOf(
      createServer((request: NodeAsked, response) => {
        void limit(request, response, (error) => {
          if (error === undefined) told(request.rateLimit);
          response.statusCode = error === undefined ? Number(nodeHeader(request)('x-status') || 200) : 500;
          response.end(error === undefined ? 'in' : (error as Error).message);
        });
      }).listen(0, '127.0.0.1'),
    );
  },

  Fastify: async (limiter, { chargeIf, onRefused, ...choices }, told) => {
    const app = fastify({ forceCloseConnections: true });
    app.addHook(
      'onRequest',
      fastifyLimit({
        limiter,
        identify: () => 'ada',
        ...chosen(choices, nodeHeader),
        ...(chargeIf === undefined ? {} : { chargeIf: ({ statusCode }) => chargeIf(statusCode) }),
        ...(onRefused === undefined
          ? {}
          : {
              onRefused: async (_request, reply, refusal) => {
                const text = await onRefused(refusal);
                reply.code(418);
                return text;
              },
            }),
      }),
    );
    app.get('/', (request, reply) => {
      told(request.rateLimit);
      return reply.code(Number(nodeHeader(request)('x-status') || 200)).send('in');
    });
    app.setErrorHandler((error: Error, _request, reply) => reply.code(500).type('text/plain').send(error.message));
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    onTestFinished(async () => app.close());
    return url;
  },

  '(Request) => Response': async (limiter, { chargeIf, onRefused, ...choices }, told) => {
    const handle = async (request: Request): Promise<Response> => {
      const result = await guard(request, {
        limiter,
        identify: () => 'ada',
        ...chosen(choices, (of: Request) => (name) => of.headers.get(name) ?? ''),
        ...(onRefused === undefined
          ? {}
          : { onRefused: async (_request, refusal) => new Response(await onRefused(refusal), { status: 418 }) }),
      });
      if (result.kind === 'refused') return result.response;
      told(result.rateLimit);
      const status = Number(request.headers.get('x-status') ?? 200);
      if (chargeIf !== undefined && !(await chargeIf(status))) await result.refund?.();
      return new Response('in', { status, headers: result.headers });
    };
    return urlOf(serverOf(handle));
  },
};
