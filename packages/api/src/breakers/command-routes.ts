import { createRoute, z } from '@hono/zod-openapi';
import {
  type BreakerExchange,
  type Action,
  MOST_BREAKERS,
  MOST_COMMANDS,
  type SentCommand,
  type SentView,
} from '@spillway/breaker/exchange';
import { actorOf } from '../audit/recorder.ts';
import { forbidden, type Guard, allows } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { json, jsonBody } from '../openapi/responses.ts';
import { problemException } from '../problems.ts';
import { readBody } from '../openapi/read-body.ts';
import { boundedText, enumOf, mustBe, strictObject, uuid, wholeNumber, omitUndefined } from '../openapi/fields.ts';

/** The largest body of commands, in bytes: each may bring ten messages of failures. */
const MAX_COMMANDS_BYTES = 1024 * 1024;

/** `POST /v1/breakers/…`: what the breakers of processes without Redis ask of the fleet's. */
export function commandRoutes(app: ApiApp, exchange: BreakerExchange, guard: Guard): void {
  const guarded = guard('report');
  const commands = createRoute({
    method: 'post',
    path: '/v1/breakers/commands',
    tags: ['breakers'],
    operationId: 'commandBreakers',
    summary: 'What the breakers of a process report and ask of the fleet’s',
    description:
      'For `httpStore` of @spillway/breaker/http-store. Carried out in their order; one that can not be read refuses all of ' +
      'them. `force` and `reset` need the scope `operate` too.',
    security: guarded.security,
    middleware: [guarded.middleware, readBody({ maxBytes: MAX_COMMANDS_BYTES })],
    request: { body: jsonBody(commandsRequest) },
    responses: { 200: json(commandsAnswer, 'One answer per command, in their order.') },
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
    method: 'post',
    path: '/v1/breakers/news',
    tags: ['breakers'],
    operationId: 'breakerNews',
    summary: 'Which breakers may have changed since they were last asked about',
    ...guarded,
    request: { body: jsonBody(newsRequest) },
    responses: { 200: json(newsAnswer, 'Places in the question.') },
  });
  app.openapi(news, async (context) => {
    const { breakers, seen } = context.req.valid('json');
    return context.json(await exchange.news(breakers, seen), 200);
  });
}

/*
 * What processes say to the fleet's breakers. Everything is bound: what a command holds becomes the fleet's state, and a
 * number out of range could leave a breaker in a state that no call ends.
 */

const DAY_MS = 86_400_000;
const COUNT = 1_000_000_000;
const whole = wholeNumber(0, Number.MAX_SAFE_INTEGER);
const flag = z.boolean({ error: mustBe('true or false') });

function numberWithin(min: number, max: number): z.ZodNumber {
  const what = `a number from ${min} to ${max}`;
  const error = mustBe(what);
  return z.number({ error }).min(min, `must be ${what}`).max(max, `must be ${what}`);
}

/** A span of time: up to a day, in ms. */
const span = numberWithin(0, DAY_MS);

/** A time in ms since 1970 that is over, or not further away than any state can last. */
const time = numberWithin(0, Number.MAX_SAFE_INTEGER).refine(
  (value) => value <= Date.now() + 366 * DAY_MS,
  'must be at most a year ahead',
);

/** Text of 1 to 128 characters without control characters: what the library takes as a name. */
const name = z
  .string({ error: mustBe('text') })
  .refine((value) => value.length >= 1 && value.length <= 128, 'must have 1 to 128 characters')
  .refine((value) => !/\p{Cc}/u.test(value) && value.isWellFormed(), 'must hold no control characters or half pairs')
  .openapi({ example: 'runware' });
const preset = z
  .string({ error: mustBe('text') })
  .regex(/^[a-z0-9_-]{1,64}$/u, 'must be 1 to 64 of a-z, 0-9, _ and -')
  .openapi({ example: 'ai_provider' });

/** Text that may be empty, up to so many characters. */
function note(most: number): z.ZodString {
  return z.string({ error: mustBe('text') }).max(most, `must have at most ${most} characters`);
}

const config = strictObject({
  version: wholeNumber(0, 2 ** 31 - 1).openapi({
    description: 'The higher of two holds; 0: a process that makes no calls.',
  }),
  trip: strictObject({
    failures: wholeNumber(0, 10_000).openapi({ description: 'Failures in a row; 0: they never trip.' }),
    forgetMs: span,
    over: enumOf(['time', 'count']),
    size: span,
    staleMs: span,
    minimumCalls: wholeNumber(1, 1_000_000),
    failureRate: numberWithin(0, 2).openapi({ description: 'A share; 2: it never trips.' }),
    slowRate: numberWithin(0, 2),
  }),
  trips: flag,
  openMs: wholeNumber(1, DAY_MS),
  maxOpenMs: wholeNumber(1, DAY_MS),
  backoff: numberWithin(1, 10),
  decayMs: wholeNumber(1, DAY_MS),
  probes: wholeNumber(1, 1_000),
  leaseMs: wholeNumber(1, 2 * DAY_MS),
  maxExpiries: wholeNumber(1, 1_000),
  quorum: numberWithin(0, 10_000),
  recordFailures: flag,
  recordSuccesses: flag,
}).openapi('BreakerConfig', { description: 'What the fleet must know of a preset.' });

const kind = enumOf(['closed', 'open', 'half_open', 'forced_open', 'forced_closed']);
const reason = enumOf([
  'failures',
  'failure_rate',
  'slow_rate',
  'quota',
  'probe_failed',
  'probes_expired',
  'sole_caller',
  '',
]);
const view = strictObject({
  epoch: time.openapi({ description: '0: the process knows nothing yet.' }),
  seeded: flag,
  kind,
  sinceMs: time,
  untilMs: time,
  openings: wholeNumber(0, 1_000_000),
  reason,
  who: note(200),
  why: note(500),
  alertUntilMs: time,
  nowMs: time,
}).openapi('BreakerView', { description: 'What the process believes: the `view` of its last answer.' });

const calls = wholeNumber(0, COUNT);
const batch = strictObject({
  successes: calls,
  failures: calls,
  slow: calls,
  quotas: calls,
  leadingFailures: calls,
  longestRun: calls,
  trailingFailures: calls,
  retryAfterMs: span,
  quotaMs: span,
  samples: z.array(note(500), { error: mustBe('a list') }).max(10, 'must hold at most 10 messages'),
}).openapi('BreakerBatch', {
  description: 'Outcomes of some calls; leading and trailing failures are those in a row at the two ends.',
});

const kinds = ['success', 'failure', 'quota', 'answered', 'neutral'] as const;
const leaseId = boundedText(128);
const who = z.unknown().optional().openapi({ description: 'Ignored: the actor is the sender.' });
const action = z
  .discriminatedUnion(
    'type',
    [
      strictObject({ type: z.literal('read'), sick: flag.optional(), askedMs: span.optional() }),
      strictObject({ type: z.literal('report'), seq: whole, batch, lateMs: numberWithin(0, 7 * DAY_MS).optional() }),
      strictObject({ type: z.literal('acquire'), leaseId }),
      strictObject({
        type: z.literal('settle'),
        leaseId,
        epoch: whole,
        outcome: strictObject({ kind: enumOf(kinds), retryAfterMs: span, message: note(500) }),
      }),
      strictObject({
        type: z.literal('force'),
        target: enumOf(['forced_open', 'forced_closed']),
        forMs: span.openapi({ description: '0: for ever.' }),
        who,
        why: note(500),
      }),
      strictObject({ type: z.literal('reset'), who, why: note(500) }),
    ],
    { error: 'must be an action: read, report, acquire, settle, force or reset' },
  )
  .transform((sent): Action =>
    sent.type === 'force' || sent.type === 'reset' ? { ...sent, who: '' } : omitUndefined(sent),
  );

const command: z.ZodType<SentCommand> = strictObject({ name, preset, config, known: view, action }).openapi(
  'BreakerCommand',
);

/** Commands of one process, each to one breaker. */
const commandsRequest: z.ZodType<{ readonly instance: string; readonly commands: readonly SentCommand[] }> =
  strictObject({
    instance: uuid().openapi({ description: 'New at each start of the process.' }),
    commands: z
      .array(command, { error: mustBe('a list') })
      .min(1, 'must hold at least one command')
      .max(MOST_COMMANDS, `must hold at most ${MOST_COMMANDS} commands`),
  }).openapi('BreakerCommands');

const known: z.ZodType<SentView> = strictObject({ name, preset, epoch: whole, alertUntilMs: whole });

/** What a process knows of breakers, and up to where it has heard their news. */
const newsRequest: z.ZodType<{
  readonly breakers: readonly SentView[];
  readonly seen: Readonly<Record<string, string>>;
}> = strictObject({
  breakers: z
    .array(known, { error: mustBe('a list') })
    .min(1, 'must hold at least one breaker')
    .max(MOST_BREAKERS, `must hold at most ${MOST_BREAKERS} breakers`),
  seen: z
    .record(z.string().regex(/^\d{1,4}$/u, 'must be a shard'), note(400), { error: mustBe('a JSON object') })
    .openapi({ description: 'From the last answer; {} at first.' }),
}).openapi('BreakerNewsRequest');

/** What became of each command. Without `config` the command's own holds. */
const commandsAnswer: z.ZodType = z
  .object({
    answers: z.array(
      z.union([
        z.object({
          verdict: z.enum(['granted', 'pass', 'denied', 'settled', 'expired', 'done', 'ignored']),
          retryAfterMs: z.number(),
          movedFrom: z.string(),
          view,
          config: config.optional(),
        }),
        z.object({ unavailable: z.enum(['unsent', 'unanswered']) }),
      ]),
    ),
  })
  .openapi('BreakerAnswers');

/** Places of breakers in the question: those that may have changed, and those of which nothing could be heard. */
const newsAnswer: z.ZodType = z
  .object({ changed: z.array(z.number()), unreachable: z.array(z.number()), seen: z.record(z.string(), z.string()) })
  .openapi('BreakerNews');
