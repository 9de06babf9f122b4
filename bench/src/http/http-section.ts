import { fileURLToPath } from 'node:url';
import { startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { type Effort, median } from '../rounds.ts';
import type { Findings, Goal, Section, Table } from '../section.ts';
import { type RunningApp, startApp, wrk } from './load.ts';

/** What is in front of the app's one route. */
type Kind = 'none' | 'spillway' | 'hono-rate-limiter';

const server = fileURLToPath(new URL('hono-server.ts', import.meta.url));
const script = fileURLToPath(new URL('many-keys.lua', import.meta.url));

const ROUNDS = 4;
const SECONDS = 2;

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
}

/** What the middleware costs an app over HTTP. */
export const httpSection: Section = {
  name: 'http',
  title: 'Hono middleware',
  needs: [wrk],
  async measure(effort): Promise<Findings> {
    const redis = await startRedis();
    const kinds: readonly Kind[] = ['none', 'spillway', 'hono-rate-limiter'];
    const apps = await Promise.all(
      kinds.map(async (kind) => Object.assign(await startApp({ server, args: [kind, redis.url], script }), { kind })),
    );
    try {
      const results = [
        ...(await compare(redis.url, apps, 'generations', effort)),
        ...(await compare(redis.url, apps, '', effort)),
      ];
      return {
        goals: [
          goal(results, 'generations', 'a route that reads JSON'),
          goal(results, '', 'a route that does nothing'),
        ],
        tables: [table(results)],
      };
    } finally {
      await Promise.all(apps.map((app) => app.stop()));
      await redis.stop();
    }
  },
};

function goal(results: readonly Result[], route: Route, what: string): Goal {
  const own = results.find((result) => result.route === route && result.kind === 'spillway')?.share ?? Number.NaN;
  const name = `requests/s with \`rateLimit()\` before ${what}, against the app without`;
  return { name, measured: 100 * own, bound: 85, better: 'more', unit: '%' };
}

async function compare(
  redisUrl: string,
  apps: readonly (RunningApp & { readonly kind: Kind })[],
  route: Route,
  effort: Effort,
): Promise<readonly Result[]> {
  const admin = new Redis(redisUrl);
  const rounds = new Map<Kind, number[]>(apps.map(({ kind }) => [kind, []]));
  for (const app of apps) await app.press(2, route);
  for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
    for (const { kind, press } of apps) {
      await admin.flushall();
      rounds.get(kind)?.push((await press(SECONDS, route)).requestsPerSecond);
    }
  }
  admin.disconnect();
  const bare = rounds.get('none') ?? [];
  return [...rounds].map(([kind, rates]) => ({
    route,
    kind,
    requestsPerSecond: median(rates),
    share: median(rates.map((rate, round) => rate / (bare[round] ?? Number.NaN))),
  }));
}

const NAMES: Readonly<Record<Kind, string>> = {
  none: 'no limiter',
  spillway: 'Spillway `rateLimit()`',
  'hono-rate-limiter': 'hono-rate-limiter, Redis store',
};

function table(results: readonly Result[]): Table {
  return {
    title: 'Requests over HTTP',
    intro: `A Hono app on @hono/node-server with two routes, in a process of its own, pressed by wrk with 64 connections and 10,000 API
keys; limit 100 a minute. Medians of ${ROUNDS} rounds of ${SECONDS} s, the apps taking turns.`,
    columns: [
      { heading: 'what the route does' },
      { heading: 'middleware' },
      { heading: 'requests/s', digits: 0 },
      { heading: 'share', digits: 0, unit: ' %' },
    ],
    rows: results.map(({ route, kind, requestsPerSecond, share }) => [
      ROUTES[route],
      NAMES[kind],
      Math.round(requestsPerSecond),
      100 * share,
    ]),
    chart: { label: 1, value: 2 },
  };
}
