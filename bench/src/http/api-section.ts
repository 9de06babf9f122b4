import { fileURLToPath } from 'node:url';
import { migrate } from '@spillway/db';
import { startPostgres, startRedis } from '@spillway/local-servers';
import { type Findings, median, type Section } from '../section.ts';
import { type Load, startApp, wrk } from './load.ts';

const ROUNDS = 4;
const SECONDS = 2;

/** Decisions in one request. */
const BATCH = 100;

const server = fileURLToPath(new URL('api-server.ts', import.meta.url));
const script = fileURLToPath(new URL('decisions.lua', import.meta.url));

const kinds = [
  { kind: 'bare', name: 'a bare Hono route: reads JSON, answers a constant', decisions: 1 },
  { kind: 'decides', name: 'the API: key, schema, decision', decisions: 1 },
  { kind: 'batch', name: `the API: batches of ${BATCH}`, decisions: BATCH },
] as const;

/** What a decision through the HTTP API costs, beside all that HTTP costs anyway. */
export const apiSection: Section = {
  name: 'api',
  title: 'HTTP API',
  needs: [wrk],
  async measure(effort): Promise<Findings> {
    const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
    await migrate({ connectionString: postgres.url });
    const apps = await Promise.all(
      kinds.map(({ kind, decisions }) =>
        startApp({ server, args: [kind, redis.url, postgres.url, String(decisions)], script }),
      ),
    );
    try {
      for (const app of apps) await app.press(2);
      const rounds: Load[][] = kinds.map(() => []);
      for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
        for (const [index, app] of apps.entries()) rounds[index]?.push(await app.press(SECONDS));
      }
      return findings(rounds);
    } finally {
      await Promise.all(apps.map((app) => app.stop()));
      await Promise.all([redis.stop(), postgres.stop()]);
    }
  },
};

function findings(rounds: readonly (readonly Load[])[]): Findings {
  const bare = rounds[0] ?? [];
  const rows = kinds.map(({ name, decisions }, index) => {
    const loads = rounds[index] ?? [];
    return [
      name,
      Math.round(median(loads.map(({ requestsPerSecond }) => requestsPerSecond))),
      Math.round(decisions * median(loads.map(({ requestsPerSecond }) => requestsPerSecond))),
      median(loads.map(({ p99Ms }) => p99Ms)),
      100 * median(loads.map((load, round) => load.requestsPerSecond / (bare[round]?.requestsPerSecond ?? Number.NaN))),
    ];
  });
  return {
    goals: [
      {
        name: 'requests/s with a decision, against a bare Hono route',
        measured: Number(rows[1]?.[4] ?? Number.NaN),
        bound: 50,
        better: 'more',
        unit: '%',
        noise: 0.2,
      },
      {
        name: `decisions/s in batches of ${BATCH}`,
        measured: Number(rows[2]?.[2] ?? Number.NaN),
        bound: 300_000,
        better: 'more',
        unit: '/s',
        noise: 0.3,
      },
    ],
    tables: [
      {
        title: 'Decisions through HTTP',
        intro: `\`POST /v1/limits/standard/consume\` and \`/batch\` with an API key, pressed by wrk with 64 connections and 10,000 subjects;
API, Redis, Postgres and wrk on one machine, at the log level \`warn\`. The bare route is one Hono handler on the same server: it
reads the same body as JSON and answers with the JSON of a decision, which was made before. Medians of ${ROUNDS} rounds of ${SECONDS} s,
taking turns.`,
        columns: [
          { heading: 'the route' },
          { heading: 'requests/s', digits: 0 },
          { heading: 'decisions/s', digits: 0 },
          { heading: 'p99 ms', digits: 1 },
          { heading: 'requests, share of bare', digits: 0, unit: ' %' },
        ],
        rows,
        chart: { label: 0, value: 1 },
      },
    ],
  };
}
