import { fileURLToPath } from 'node:url';
import { startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { type Effort, type Findings, type Goal, mean, median, type Section, type Table } from '../section.ts';
import { type Load, type RunningApp, startApp, wrk } from './load.ts';

/** What is in front of the app's one route. */
type Kind = 'none' | 'spillway' | 'spillway-draft' | 'hono-rate-limiter';

const server = 'hono-server.js';
const script = fileURLToPath(new URL('../../src/http/many-keys.lua', import.meta.url));

/** Short rounds, and many: what a limiter adds is a small part of what a request takes, and the machine's speed drifts. */
const ROUNDS = 8;
const SECONDS = 1;

/** How often each app is started again: how V8 compiles one differs from start to start by more than a limiter costs. */
const STARTS = 4;

/** What the app's handlers do. */
const ROUTES = {
  generations: 'a generation: reads a JSON body, answers 201 with JSON',
  '': 'nothing: answers a constant',
} as const;
type Route = keyof typeof ROUTES;

interface Result {
  readonly route: Route;
  readonly kind: Kind;
  readonly requestsPerSecond: number;
  /** Beside the app without a limiter in the same round, the median of the rounds. */
  readonly share: number;
  /** CPU of the app's process a request, in µs. */
  readonly cpuMicros: number;
  /** What of it the app without a limiter doesn't take in the same round, the median of the rounds. */
  readonly addedMicros: number;
  /** The same without the kernel's part; the mean, since the kernel tells the two apart by a few hundred samples a second. */
  readonly addedUserMicros: number;
}

/** What the middleware costs an app over HTTP. */
export const httpSection: Section = {
  name: 'http',
  title: 'Hono middleware',
  needs: [wrk],
  async measure(effort): Promise<Findings> {
    const redis = await startRedis();
    try {
      const loads: Loads = { generations: [], '': [] };
      for (let start = 0; start < effort.rounds(STARTS); start += 1) await pressAll(redis.url, effort, loads);
      const results = (['generations', ''] as const).flatMap((route) => compare(route, loads[route]));
      return {
        goals: [
          goal(results, 'generations', 'a route that reads JSON'),
          goal(results, '', 'a route that does nothing'),
          addedGoal(results, 'spillway', '', 0.25),
          addedGoal(results, 'spillway-draft', " with `headers: 'draft'`", 0.18),
        ],
        tables: [table(results)],
      };
    } finally {
      await redis.stop();
    }
  },
};

function goal(results: readonly Result[], route: Route, what: string): Goal {
  const own = results.find((result) => result.route === route && result.kind === 'spillway')?.share ?? Number.NaN;
  const name = `requests/s with \`rateLimit()\` before ${what}, against the app without`;
  return { name, measured: 100 * own, bound: 85, better: 'more', unit: '%' };
}

/**
 * What the middleware adds to a request that reads JSON, as a multiple of what the peer's adds. Without the kernel's part: the more an
 * app does, the seldomer the load generator sleeps, and an answer that has to wake it costs the kernel ten µs more. By all of the
 * CPU an app with a limiter took less than one without in some runs.
 */
function addedGoal(results: readonly Result[], kind: Kind, how: string, bound: number): Goal {
  const added = (of: Kind): number =>
    results.find((result) => result.route === 'generations' && result.kind === of)?.addedUserMicros ?? Number.NaN;
  const name = `CPU in user space that \`rateLimit()\`${how} adds to a request that reads JSON, against a peer's`;
  return { name, measured: added(kind) / added('hono-rate-limiter'), bound, better: 'less', unit: '×', noise: 0.3 };
}

/** What each app did in a round. */
type Round = ReadonlyMap<Kind, Load>;
type Loads = Record<Route, Round[]>;

/** Starts an app for each kind, presses them in turns, and ends them. */
async function pressAll(redisUrl: string, effort: Effort, loads: Loads): Promise<void> {
  const kinds: readonly Kind[] = ['none', 'spillway', 'spillway-draft', 'hono-rate-limiter'];
  const apps = await Promise.all(
    kinds.map(async (kind) => Object.assign(await startApp({ server, args: [kind, redisUrl], script }), { kind })),
  );
  const admin = new Redis(redisUrl);
  try {
    for (const route of ['generations', ''] as const) {
      for (const app of apps) await warmUp(app, route);
      for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
        const loadOf = new Map<Kind, Load>();
        // Back and forth, so that none is always the one behind another.
        for (const { kind, press } of round % 2 === 0 ? apps : apps.toReversed()) {
          await admin.flushall();
          loadOf.set(kind, await press(SECONDS, route));
        }
        loads[route].push(loadOf);
      }
    }
  } finally {
    admin.disconnect();
    await Promise.all(apps.map((app) => app.stop()));
  }
}

function compare(route: Route, rounds: readonly Round[]): readonly Result[] {
  const kinds = [...(rounds[0]?.keys() ?? [])];
  return kinds.map((kind) => {
    const pairs = rounds.flatMap((round) => {
      const [load, bare] = [round.get(kind), round.get('none')];
      return load === undefined || bare === undefined ? [] : [{ load, bare }];
    });
    return {
      route,
      kind,
      requestsPerSecond: median(pairs.map(({ load }) => load.requestsPerSecond)),
      share: median(pairs.map(({ load, bare }) => load.requestsPerSecond / bare.requestsPerSecond)),
      cpuMicros: median(pairs.map(({ load }) => load.cpuMicros)),
      addedMicros: median(pairs.map(({ load, bare }) => load.cpuMicros - bare.cpuMicros)),
      addedUserMicros: mean(pairs.map(({ load, bare }) => load.userMicros - bare.userMicros)),
    };
  });
}

/** By then V8 has compiled what runs often: by time alone a busy machine's apps were measured while it still did. */
const WARM_REQUESTS = 40_000;
const MOST_WARM_UPS = 10;

async function warmUp(app: RunningApp, route: Route): Promise<void> {
  let made = 0;
  for (let turn = 0; turn < MOST_WARM_UPS && made < WARM_REQUESTS; turn += 1) {
    const { requestsPerSecond } = await app.press(2, route);
    made += 2 * requestsPerSecond;
  }
}

const NAMES: Readonly<Record<Kind, string>> = {
  none: 'no limiter',
  spillway: 'Spillway `rateLimit()`',
  'spillway-draft': "Spillway `rateLimit({ headers: 'draft' })`",
  'hono-rate-limiter': 'hono-rate-limiter, Redis store',
};

function table(results: readonly Result[]): Table {
  return {
    title: 'Requests over HTTP',
    intro: `A Hono app on @hono/node-server with two routes, in a process of its own, pressed by wrk with 64 connections and 10,000 API
keys; limit 100 a minute. Medians of ${ROUNDS * STARTS} rounds of ${SECONDS} s, the apps taking turns and started again ${STARTS - 1} times. CPU is that of the app's process with all its
threads; what is added is the median of the differences to the app without a limiter in the same round, and in user space their mean. The
kernel's part depends on whether wrk sleeps when an answer comes, which it does the more the faster the app is.`,
    columns: [
      { heading: 'what the route does' },
      { heading: 'middleware' },
      { heading: 'requests/s', digits: 0 },
      { heading: 'share', digits: 0, unit: ' %' },
      { heading: 'CPU µs a request', digits: 1 },
      { heading: 'added', digits: 1 },
      { heading: 'added in user space', digits: 1 },
    ],
    rows: results.map(({ route, kind, requestsPerSecond, share, cpuMicros, addedMicros, addedUserMicros }) => [
      ROUTES[route],
      NAMES[kind],
      Math.round(requestsPerSecond),
      100 * share,
      cpuMicros,
      addedMicros,
      addedUserMicros,
    ]),
    chart: { label: 1, value: 2 },
  };
}
