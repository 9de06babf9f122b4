import { fileURLToPath } from 'node:url';
import { migrate } from '@spillway/db';
import { startPostgres, startRedis } from '@spillway/embedded';
import { type Load, startApp, wrk } from '../http/load.ts';
import { median } from '../quantile.ts';
import type { Findings, Section } from '../section.ts';

const ROUNDS = 4;
const SECONDS = 2;

const server = fileURLToPath(new URL('server.ts', import.meta.url));
const script = fileURLToPath(new URL('consume.lua', import.meta.url));

const NAMES = { constant: 'the same route without a decision', decides: 'a decision' };

/** What a decision through the HTTP API costs, beside all that HTTP costs anyway. */
export const apiSection: Section = {
  name: 'api',
  title: 'HTTP API',
  needs: [wrk],
  async measure(effort): Promise<Findings> {
    const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
    await migrate({ connectionString: postgres.url });
    const kinds = ['constant', 'decides'] as const;
    const apps = await Promise.all(
      kinds.map((kind) => startApp({ server, args: [kind, redis.url, postgres.url], script })),
    );
    try {
      for (const app of apps) await app.press(2);
      const rounds: Load[][] = [[], []];
      for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
        for (const [index, app] of apps.entries()) rounds[index]?.push(await app.press(SECONDS));
      }
      return findings(kinds.map((kind, index) => ({ name: NAMES[kind], loads: rounds[index] ?? [] })));
    } finally {
      await Promise.all(apps.map((app) => app.stop()));
      await Promise.all([redis.stop(), postgres.stop()]);
    }
  },
};

function findings(results: readonly { readonly name: string; readonly loads: readonly Load[] }[]): Findings {
  const bare = results[0]?.loads ?? [];
  const rows = results.map(({ name, loads }) => [
    name,
    Math.round(median(loads.map(({ requestsPerSecond }) => requestsPerSecond))),
    median(loads.map(({ p99Ms }) => p99Ms)),
    100 * median(loads.map((load, round) => load.requestsPerSecond / (bare[round]?.requestsPerSecond ?? Number.NaN))),
  ]);
  return {
    goals: [
      {
        name: 'requests/s with a decision, against the same route without',
        measured: Number(rows[1]?.[3] ?? Number.NaN),
        bound: 50,
        better: 'more',
        unit: '%',
        noise: 0.2,
      },
    ],
    tables: [
      {
        title: 'Decisions through HTTP',
        intro: `\`POST /v1/limits/standard/consume\` with an API key, pressed by wrk with 64 connections and 10,000 subjects; API, Redis,
Postgres and wrk on one machine, no line of log for each request. The route without a decision checks key and body and writes the
same answer, and asks no limiter. Medians of ${ROUNDS} rounds of ${SECONDS} s, taking turns.`,
        columns: [
          { heading: 'the route answers with' },
          { heading: 'requests/s', digits: 0 },
          { heading: 'p99 ms', digits: 1 },
          { heading: 'share', digits: 0, unit: ' %' },
        ],
        rows,
        chart: { label: 0, value: 1 },
      },
    ],
  };
}
