import { fileURLToPath } from 'node:url';
import { migrate } from '@spillway/db';
import { startPostgres, startRedis } from '@spillway/local-servers';
import { type Effort, type Findings, median, type Section } from '../section.ts';
import { type Load, startApp, wrk } from './load.ts';

/** Short rounds, and many: the speed of the machine drifts. */
const ROUNDS = 8;
const SECONDS = 1;

/** As the API's start script has it; all the servers run with it. */
const FLAGS = ['--max-semi-space-size=32'];

/** Decisions in one request. */
const BATCH = 100;

const server = 'api-server.js';
const script = fileURLToPath(new URL('../../src/http/decisions.lua', import.meta.url));

/** Take turns: all their decisions admit. */
const kinds = [
  { kind: 'bare', name: 'a bare Hono route: reads JSON, answers a constant', decisions: 1 },
  { kind: 'decides', name: 'the API: key, schema, decision', decisions: 1 },
  {
    kind: 'bare-batch',
    name: `a bare Hono route: reads a batch of ${BATCH}, answers ${BATCH} decisions`,
    decisions: BATCH,
  },
  { kind: 'batch', name: `the API: batches of ${BATCH}`, decisions: BATCH },
] as const;

/**
 * Comes after the others. What it blocks is reported by the thousand, each second until the blocks end: that would be part of what the
 * others' rounds measure, and the blocks would decide for them.
 */
const flood = {
  kind: 'flood',
  name: `the API: batches of ${BATCH}, subjects far over the limit`,
  decisions: BATCH,
} as const;

/** What a decision through the HTTP API costs, beside all that HTTP costs anyway. */
export const apiSection: Section = {
  name: 'api',
  title: 'HTTP API',
  needs: [wrk],
  async measure(effort): Promise<Findings> {
    const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
    try {
      await migrate({ connectionString: postgres.url });
      const press = async (chosen: readonly Kind[]): Promise<readonly Measured[]> =>
        inTurns(chosen, [redis.url, postgres.url], effort);
      return findings([...(await press(kinds)), ...(await press([flood]))]);
    } finally {
      await Promise.all([redis.stop(), postgres.stop()]);
    }
  },
};

type Kind = (typeof kinds)[number] | typeof flood;
type Measured = Kind & { readonly loads: readonly Load[] };

/** Presses apps in turns, there and back. */
async function inTurns(chosen: readonly Kind[], urls: readonly string[], effort: Effort): Promise<readonly Measured[]> {
  const apps = await Promise.all(
    chosen.map(async (each) => {
      const args = [each.kind, ...urls, String(each.decisions)];
      return { ...each, ...(await startApp({ server, args, flags: FLAGS, script })), loads: new Array<Load>() };
    }),
  );
  try {
    for (const app of apps) await app.press(2);
    for (let round = 0; round < effort.rounds(ROUNDS); round += 1) {
      for (const app of round % 2 === 0 ? apps : apps.toReversed()) app.loads.push(await app.press(SECONDS));
    }
    return apps;
  } finally {
    await Promise.all(apps.map((app) => app.stop()));
  }
}

function findings(measured: readonly Measured[]): Findings {
  const bare = measured[0]?.loads ?? [];
  const rows = measured.map(({ kind, name, decisions, loads }) => {
    const perSecond = median(loads.map(({ requestsPerSecond }) => requestsPerSecond));
    const shares = loads.map((load, round) => load.requestsPerSecond / (bare[round]?.requestsPerSecond ?? Number.NaN));
    return [
      name,
      Math.round(perSecond),
      Math.round(decisions * perSecond),
      median(loads.map(({ p99Ms }) => p99Ms)),
      median(loads.map(({ cpuMicros }) => cpuMicros)) / decisions,
      kind === 'flood' ? '' : 100 * median(shares),
    ];
  });
  return {
    goals: [
      {
        name: 'requests/s with a decision, against a bare Hono route',
        measured: Number(rows[1]?.[5] ?? Number.NaN),
        bound: 50,
        better: 'more',
        unit: '%',
        noise: 0.2,
      },
      {
        name: `decisions/s in batches of ${BATCH}`,
        measured: Number(rows[3]?.[2] ?? Number.NaN),
        bound: 300_000,
        better: 'more',
        unit: '/s',
        noise: 0.3,
      },
    ],
    tables: [
      {
        title: 'Decisions through HTTP',
        intro: `\`POST /v1/limits/{policy}/consume\` and \`/batch\` with an API key, pressed by wrk with 64 connections and 10,000 subjects;
API, Redis, Postgres and wrk on one machine, at the log level \`warn\`, with the API's flag \`${FLAGS.join()}\`. The bare routes are one Hono handler on the same server: it reads
the same body as JSON and answers with as many decisions, which were made before. All decisions admit, but for the last row: its
policy admits 100 a minute, and its subjects are blocked. Medians of ${ROUNDS} rounds of ${SECONDS} s, in which the first four take turns.
CPU is that of the server's process for a decision.`,
        columns: [
          { heading: 'the route' },
          { heading: 'requests/s', digits: 0 },
          { heading: 'decisions/s', digits: 0 },
          { heading: 'p99 ms', digits: 1 },
          { heading: 'CPU µs', digits: 1 },
          { heading: 'requests, share of bare', digits: 0, unit: ' %' },
        ],
        rows,
        chart: { label: 0, value: 1 },
      },
    ],
  };
}
