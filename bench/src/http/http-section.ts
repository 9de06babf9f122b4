import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { built } from '../built.ts';
import { type Effort, type Findings, type Goal, median, type Section, type Table } from '../section.ts';
import type { Asked, Route, Told } from './hono-app.ts';

/** What is in front of the app's routes. */
type Kind = 'none' | 'spillway' | 'spillway-draft' | 'hono-rate-limiter';

const NAMES: Readonly<Record<Kind, string>> = {
  none: 'no limiter',
  spillway: 'Spillway `rateLimit()`',
  'spillway-draft': "Spillway `rateLimit({ headers: 'draft' })`",
  'hono-rate-limiter': 'hono-rate-limiter, Redis store',
};
const KINDS: readonly Kind[] = ['none', 'spillway', 'spillway-draft', 'hono-rate-limiter'];

const ROUTES: Readonly<Record<Route, string>> = {
  '/generations': 'a generation: reads a JSON body, answers 201 with JSON',
  '/': 'nothing: answers a constant',
};

/** Short rounds, and many: what a limiter adds is a part of what a request takes, and the machine's speed drifts. */
const ROUNDS = 6;
const REQUESTS = 10_000;
/** By then V8 has compiled what runs often. */
const WARM_REQUESTS = 40_000;

/** How often each app is started: how V8 compiles one differs from start to start by more than a limiter costs. */
const STARTS = 4;

/** CPU µs a request of each app, in one round. */
type Round = ReadonlyMap<Kind, number>;

interface Result {
  readonly kind: Kind;
  readonly cpuMicros: number;
  /** What of it the app without a limiter doesn't take in the same round, the median of the rounds. */
  readonly addedMicros: number;
}

/** What the middleware costs an app on Node. */
export const httpSection: Section = {
  name: 'http',
  title: 'Hono middleware',
  async measure(effort): Promise<Findings> {
    const redis = await startRedis();
    try {
      const rounds: Record<Route, Round[]> = { '/generations': [], '/': [] };
      for (let start = 0; start < effort.rounds(STARTS); start += 1) await measureAll(redis.url, effort, rounds);
      const reading = resultsOf(rounds['/generations']);
      const nothing = resultsOf(rounds['/']);
      return {
        goals: [
          addedGoal(reading, 'spillway', '', 0.25),
          addedGoal(reading, 'spillway-draft', " with `headers: 'draft'`", 0.18),
          shareGoal(reading, 'a route that reads JSON'),
          shareGoal(nothing, 'a route that does nothing'),
        ],
        tables: [table([...withRoute('/generations', reading), ...withRoute('/', nothing)])],
      };
    } finally {
      await redis.stop();
    }
  },
};

function of(results: readonly Result[], kind: Kind): Result {
  return results.find((result) => result.kind === kind) ?? { kind, cpuMicros: Number.NaN, addedMicros: Number.NaN };
}

/** What the middleware adds to a request that reads JSON, as a multiple of what the peer's adds. */
function addedGoal(results: readonly Result[], kind: Kind, how: string, bound: number): Goal {
  const measured = of(results, kind).addedMicros / of(results, 'hono-rate-limiter').addedMicros;
  const name = `CPU that \`rateLimit()\`${how} adds to a request that reads JSON, against a peer's`;
  return { name, measured, bound, better: 'less', unit: '×', noise: 0.2 };
}

function shareGoal(results: readonly Result[], what: string): Goal {
  const measured = (100 * of(results, 'none').cpuMicros) / of(results, 'spillway').cpuMicros;
  const name = `requests per CPU second with \`rateLimit()\` before ${what}, against the app without`;
  return { name, measured, bound: 85, better: 'more', unit: '%' };
}

/** Starts an app for each kind, asks them in turns, and ends them. */
async function measureAll(redisUrl: string, effort: Effort, rounds: Readonly<Record<Route, Round[]>>): Promise<void> {
  const apps = new Map(KINDS.map((kind) => [kind, startApp(kind, redisUrl)]));
  const admin = new Redis(redisUrl);
  const ask = async (app: ChildProcess, asked: Asked): Promise<number> => {
    await admin.flushall();
    app.send(asked);
    const [told]: Told[] = await once(app, 'message');
    return told?.cpuMicros ?? Number.NaN;
  };
  try {
    for (const route of ['/generations', '/'] as const) {
      for (const app of apps.values()) await ask(app, { route, requests: effort.amount(WARM_REQUESTS) });
      for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
        const found = new Map<Kind, number>();
        // Back and forth, so that none is always the one behind another.
        for (const [kind, app] of round % 2 === 0 ? apps : [...apps].toReversed()) {
          found.set(kind, await ask(app, { route, requests: effort.amount(REQUESTS) }));
        }
        rounds[route].push(found);
      }
    }
  } finally {
    admin.disconnect();
    await Promise.all([...apps.values()].map(end));
  }
}

/** It runs as built, like its peers: run as TypeScript, a guard added a tenth more. */
function startApp(kind: Kind, redisUrl: string): ChildProcess {
  return spawn(process.execPath, [built('http/hono-app.js'), kind, redisUrl], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

async function end(app: ChildProcess): Promise<void> {
  app.kill('SIGKILL');
  await once(app, 'exit');
}

function resultsOf(rounds: readonly Round[]): readonly Result[] {
  return KINDS.map((kind) => {
    const micros = rounds.map((round) => round.get(kind) ?? Number.NaN);
    const added = rounds.map((round) => (round.get(kind) ?? Number.NaN) - (round.get('none') ?? Number.NaN));
    return { kind, cpuMicros: median(micros), addedMicros: median(added) };
  });
}

type Row = readonly (string | number)[];

function withRoute(route: Route, results: readonly Result[]): readonly Row[] {
  const peer = of(results, 'hono-rate-limiter').addedMicros;
  return results.map(({ kind, cpuMicros, addedMicros }) =>
    kind === 'none'
      ? [ROUTES[route], NAMES[kind], cpuMicros, '', '']
      : [ROUTES[route], NAMES[kind], cpuMicros, addedMicros, addedMicros / peer],
  );
}

function table(rows: readonly Row[]): Table {
  return {
    title: 'What a guard adds to a request',
    intro: `A Hono app on @hono/node-server with two routes, in a process of its own; 10,000 API keys, limit 100 a minute, all requests are admitted,
counts in a Redis beside it. Node's HTTP parser reads the requests from streams in memory: 64 connections, of which a turn of the event loop
brings up to 32 requests. CPU is that of the app's process by \`process.cpuUsage()\`, all its threads and the kernel's part of talking to Redis;
the making of the requests is in it, and the same for all. Medians of ${ROUNDS * STARTS} rounds of ${REQUESTS.toLocaleString('en')} requests, the apps taking
turns and started ${STARTS} times; what is added is the median of the differences to the app without a limiter in the same round.`,
    columns: [
      { heading: 'what the route does' },
      { heading: 'middleware' },
      { heading: 'CPU µs a request', digits: 1 },
      { heading: 'added', digits: 1 },
      { heading: "of the peer's", digits: 2, unit: '×' },
    ],
    rows,
    chart: { label: 1, value: 2 },
    notes: `No sockets of clients are in it, which cost every app the same and most of a request. Pressed over sockets, a guard that answers many
requests at once saves the app system calls, and the load generator sleeps less: such an app took less CPU than one without a guard, and what the guard
costs was not to be seen.`,
  };
}
