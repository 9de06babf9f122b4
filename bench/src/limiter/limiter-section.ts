import { startRedis } from '@spillway/local-servers';
import type { Findings, Goal, Section, Table } from '../section.ts';
import { type Combined, combined } from './combined.ts';
import { type Footprint, type Latency, latency, memory, type Result, throughput } from './one-limit.ts';

/** The limiter beside its peers and beside the least that Redis can do. */
export const limiterSection: Section = {
  name: 'limiter',
  title: 'Limiter',
  async measure(effort): Promise<Findings> {
    const redis = await startRedis();
    try {
      const results = await throughput(redis.url, effort);
      const latencies = await latency(redis.url, effort);
      const groups = await combined(redis.url, effort);
      const footprints = await memory(redis.url, effort);
      return {
        goals: [...throughputGoals(results), ...latencyGoals(latencies), ...combinedGoals(groups)],
        tables: [throughputTable(results), latencyTable(latencies), combinedTable(groups), memoryTable(footprints)],
      };
    } finally {
      await redis.stop();
    }
  },
};

function throughputGoals([own, ...others]: readonly Result[]): readonly Goal[] {
  const peers = others.filter(({ algorithm }) => algorithm !== 'none');
  const bare = others.find(({ algorithm }) => algorithm === 'none');
  const fastest = peers.toSorted((one, other) => other.decisionsPerSecond - one.decisionsPerSecond)[0];
  if (own === undefined || fastest === undefined) return [];
  return [
    {
      name: 'decisions/s, against the fastest peer',
      measured: own.decisionsPerSecond / fastest.decisionsPerSecond,
      bound: 5,
      better: 'more',
      unit: '×',
    },
    {
      name: 'client CPU a decision, against the leanest peer',
      measured: own.clientMicros / Math.min(...peers.map(({ clientMicros }) => clientMicros)),
      bound: 0.2,
      better: 'less',
      unit: '×',
    },
    {
      name: 'Redis CPU a decision, against the leanest peer',
      measured: own.redisMicros / Math.min(...peers.map(({ redisMicros }) => redisMicros)),
      bound: 1,
      better: 'less',
      unit: '×',
    },
    {
      name: 'Redis CPU a decision, against an EVALSHA of `return 1`',
      measured: own.redisMicros / (bare?.redisMicros ?? Number.NaN),
      bound: 1.4,
      better: 'less',
      unit: '×',
    },
  ];
}

function latencyGoals([own, bare]: readonly Latency[]): readonly Goal[] {
  if (own === undefined || bare === undefined) return [];
  const common = { better: 'less', unit: '×' } as const;
  return [
    {
      name: 'one in flight, p50 against a bare EVALSHA',
      measured: own.p50Micros / bare.p50Micros,
      bound: 1.1,
      ...common,
    },
    {
      name: 'one in flight, p99 against a bare EVALSHA',
      measured: own.p99Micros / bare.p99Micros,
      bound: 1.15,
      noise: 0.5,
      ...common,
    },
  ];
}

function throughputTable(results: readonly Result[]): Table {
  const first = results[0]?.decisionsPerSecond ?? Number.NaN;
  return {
    title: 'Decisions',
    intro:
      '256 decisions in flight over 10,000 subjects, limit 100 a minute, 200,000 decisions a round, medians of five.',
    columns: [
      { heading: 'limiter' },
      { heading: 'algorithm' },
      { heading: 'decisions/s', digits: 0 },
      { heading: 'client CPU µs', digits: 2 },
      { heading: 'Redis CPU µs', digits: 2 },
      { heading: 'Spillway is', digits: 1, unit: '×' },
    ],
    rows: results.map(({ name, algorithm, decisionsPerSecond, clientMicros, redisMicros }) => [
      name,
      algorithm,
      Math.round(decisionsPerSecond),
      clientMicros,
      redisMicros,
      first / decisionsPerSecond,
    ]),
    chart: { label: 0, value: 2 },
    notes: `CPU is per decision: the client's by \`process.cpuUsage()\`, Redis' by its own \`INFO cpu\`. Every peer runs with ioredis'
auto-pipelining, its fastest setting here. \`@upstash/ratelimit\` talks to Redis over a socket instead of HTTP, keeps its
cache of refused subjects and does without its timeout; its scripts lose their first line, which stock Redis refuses.
Of express-rate-limit and hono-rate-limiter only the store's \`increment\` is measured, no middleware. \`EVALSHA of return
1\` is what one script call a decision costs at least; Spillway's batches share one call between many decisions.`,
  };
}

function latencyTable(latencies: readonly Latency[]): Table {
  const bare = latencies.at(-1);
  return {
    title: 'One decision at a time',
    intro: `5,000 decisions a round, each asked for when the one before is there: nothing to batch, nothing to hide behind.
The bare script call runs without auto-pipelining, which would only delay it here.`,
    columns: [
      { heading: 'one in flight' },
      { heading: 'p50 µs', digits: 0 },
      { heading: 'p99 µs', digits: 0 },
      { heading: 'p50 ratio', digits: 2, unit: '×' },
      { heading: 'p99 ratio', digits: 2, unit: '×' },
    ],
    rows: latencies.map(({ name, p50Micros, p99Micros }) => [
      name,
      p50Micros,
      p99Micros,
      p50Micros / (bare?.p50Micros ?? Number.NaN),
      p99Micros / (bare?.p99Micros ?? Number.NaN),
    ]),
  };
}

function combinedGoals([own, ...peers]: readonly Combined[]): readonly Goal[] {
  if (own === undefined) return [];
  const fastest = Math.max(...peers.map(({ perSecond }) => perSecond));
  const quickest = Math.min(...peers.map(({ aloneMicros }) => aloneMicros));
  return [
    {
      name: 'three limits at once, 256 in flight, against the fastest peer',
      measured: own.perSecond / fastest,
      bound: 2,
      better: 'more',
      unit: '×',
    },
    {
      name: 'three limits at once, one in flight, against the fastest peer',
      measured: own.aloneMicros / quickest,
      bound: 1.5,
      better: 'less',
      unit: '×',
    },
  ];
}

function combinedTable(groups: readonly Combined[]): Table {
  const [own] = groups;
  return {
    title: 'Three limits at once',
    intro: `A minute's, an hour's and a day's limit of one subject of 10,000: Spillway decides and charges all of them or none in one
script; a peer is asked three times at the same time. 50,000 requests a round at 256 in flight, 5,000 one at a time, medians of five.`,
    columns: [
      { heading: 'limiter' },
      { heading: 'requests/s', digits: 0 },
      { heading: 'one in flight, p50 µs', digits: 0 },
      { heading: 'client CPU µs', digits: 2 },
      { heading: 'Redis CPU µs', digits: 2 },
      { heading: 'Spillway is', digits: 1, unit: '×' },
    ],
    rows: groups.map(({ name, perSecond, aloneMicros, clientMicros, redisMicros }) => [
      name,
      Math.round(perSecond),
      aloneMicros,
      clientMicros,
      redisMicros,
      (own?.perSecond ?? Number.NaN) / perSecond,
    ]),
  };
}

function memoryTable(footprints: readonly Footprint[]): Table {
  return {
    title: 'Memory',
    intro:
      'Up to 1,000 subjects filled to their limit (100,000: by 2,000) one unit at a time; the median of `MEMORY USAGE`.',
    columns: [{ heading: 'limiter' }, { heading: 'limit', digits: 0 }, { heading: 'bytes/key', digits: 0 }],
    rows: footprints.map(({ name, limit, bytesPerKey }) => [name, limit, bytesPerKey]),
    notes: `An exact log keeps 4 bytes for each unit, and Redis gives a string that grows up to twice the room it needs; beyond a
limit of 1,000 \`auto\` counts in sub-buckets. Counters keep one number whatever the limit. \`@upstash/ratelimit\` has a
second key for a subject that was there in the window before.`,
  };
}
