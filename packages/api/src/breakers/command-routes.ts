import { createRoute } from '@hono/zod-openapi';
import type { BreakerExchange } from '@spillway/breaker/exchange';
import { actorOf } from '../audit/recorder.ts';
import { allows } from '../auth/principal.ts';
import { forbidden, type Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { problemException } from '../problems.ts';
import { readBody } from '../read-body.ts';
import { commandsAnswer, commandsRequest, newsAnswer, newsRequest } from './command-schema.ts';

/** The largest body of commands, in bytes: each may bring ten messages of failures. */
const MAX_COMMANDS_BYTES = 1024 * 1024;

/** `POST /v1/breakers/…`: what the breakers of processes without Redis ask of the fleet's. */
export function commandRoutes(app: ApiApp, exchange: BreakerExchange, guard: Guard): void {
  const { middleware, security } = guard('report');
  const common = { method: 'post' as const, tags: ['breakers'], security };
  const refused = problemResponses(400, 401, 403, 413, 415, 503);
  const commands = createRoute({
    ...common,
    path: '/v1/breakers/commands',
    operationId: 'commandBreakers',
    summary: 'What the breakers of a process report and ask of the fleet’s',
    description:
      'For `httpStore` of @spillway/breaker/http-store. Carried out in their order; one that can not be read refuses all of ' +
      'them. `force` and `reset` need the scope `operate` too.',
    middleware: [middleware, readBody({ maxBytes: MAX_COMMANDS_BYTES })],
    request: { body: jsonBody(commandsRequest) },
    responses: { 200: json(commandsAnswer, 'One answer per command, in their order.'), ...refused },
  });
  app.openapi(commands, async (context) => {
    const { instance, commands: sent } = context.req.valid('json');
    const isOperator = allows(context.get('principal')?.scopes ?? [], 'operate');
    const actor = isOperator ? actorOf(context) : undefined;
    const isByHand = sent.some(({ action: { type } }) => type === 'force' || type === 'reset');
    if (isByHand && actor === undefined) throw problemException(forbidden('operate'));
    return context.json({ answers: await exchange.carryOut({ instance, actor }, sent) }, 200);
  });

  const news = createRoute({
    ...common,
    path: '/v1/breakers/news',
    operationId: 'breakerNews',
    summary: 'Which breakers may have changed since they were last asked about',
    middleware: [middleware, readBody()],
    request: { body: jsonBody(newsRequest) },
    responses: { 200: json(newsAnswer, 'Places in the question.'), ...refused },
  });
  app.openapi(news, async (context) => {
    const { breakers, seen } = context.req.valid('json');
    return context.json(await exchange.news(breakers, seen), 200);
  });
}
