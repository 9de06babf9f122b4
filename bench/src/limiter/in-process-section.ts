import { startRedis } from '@spillway/local-servers';
import type { Findings, Goal, Section, Table } from '../section.ts';
import { type InProcess, inProcess, type InProcessName } from './in-process.ts';

const NAMES: Readonly<Record<InProcessName, string>> = {
  blocked: 'Spillway: blocked',
  'rate-limiter-flexible': 'rate-limiter-flexible: `inMemoryBlockOnConsumed`',
  'bare map': 'a bare `Map`, and a promise',
  leased: 'Spillway: leases of 5,000',
  'small leases': 'Spillway: leases of 500',
  neither: 'Spillway: no lease',
};

/** Decisions that seldom or never reach Redis. */
export const inProcessSection: Section = {
  name: 'in-process',
  title: 'Decided in process',
  async measure(effort): Promise<Findings> {
    const redis = await startRedis();
    try {
      const results = await inProcess(redis.url, effort);
      return { goals: goals(results), tables: [table(results)] };
    } finally {
      await redis.stop();
    }
  },
};

function goals(results: readonly InProcess[]): readonly Goal[] {
  const speed = (name: InProcessName, subjects: number, inFlight = 1): number =>
    find(results, name, subjects, inFlight)?.decisionsPerSecond ?? Number.NaN;
  const millions = { better: 'more', unit: 'M/s', noise: 0.3 } as const;
  return [
    { name: 'a blocked subject', measured: speed('blocked', 1) / 1e6, bound: 4, ...millions },
    { name: '1,000 blocked subjects', measured: speed('blocked', 1_000) / 1e6, bound: 4, ...millions },
    againstMap(results, '1,000 blocked subjects', { name: 'blocked', subjects: 1_000 }, 0.33),
    { name: '100,000 blocked subjects', measured: speed('blocked', 100_000) / 1e6, bound: 4, ...millions },
    againstMap(results, '100,000 blocked subjects', { name: 'blocked', subjects: 100_000 }, 0.33),
    { name: 'a leased policy', measured: speed('leased', 1) / 1e6, bound: 3, ...millions },
    {
      name: 'a leased policy, 1,000 subjects, 256 in flight',
      measured: speed('leased', 1_000, 256) / 1e6,
      bound: 3,
      ...millions,
    },
    againstMap(
      results,
      'a leased policy, 1,000 subjects, 256 in flight',
      { name: 'leased', subjects: 1_000, inFlight: 256 },
      0.25,
    ),
    {
      name: 'a blocked subject, against a peer that remembers whom it refused',
      measured: speed('blocked', 1) / speed('rate-limiter-flexible', 1),
      bound: 4,
      ...millions,
      unit: '×',
    },
    fallGoal(results, 'leased', 100, 1),
    fallGoal(results, 'leased', 100, 256),
    fallGoal(results, 'small leases', 1_000, 1),
  ];
}

/** As a share of what a Map alone does, one at a time: with many subjects most of the time is waiting for memory. */
function againstMap(
  results: readonly InProcess[],
  what: string,
  {
    name,
    subjects,
    inFlight = 1,
  }: { readonly name: InProcessName; readonly subjects: number; readonly inFlight?: number },
  bound: number,
): Goal {
  const speed = (of: InProcessName, together: number): number =>
    find(results, of, subjects, together)?.decisionsPerSecond ?? Number.NaN;
  return {
    name: `${what}, against a bare Map`,
    measured: speed(name, inFlight) / speed('bare map', 1),
    bound,
    better: 'more',
    unit: '×',
    noise: 0.3,
  };
}

function fallGoal(results: readonly InProcess[], name: InProcessName, subjects: number, inFlight: number): Goal {
  return {
    name: `${NAMES[name].replace('Spillway: ', '')}, ${subjects.toLocaleString('en')} subjects, ${inFlight} in flight: commands fall`,
    measured: fall(results, name, subjects, inFlight),
    bound: 10,
    better: 'more',
    unit: '×',
    noise: 0.3,
  };
}

function find(
  results: readonly InProcess[],
  name: InProcessName,
  subjects: number,
  inFlight: number,
): InProcess | undefined {
  return results.find((one) => one.name === name && one.subjects === subjects && one.inFlight === inFlight);
}

/** How many times fewer commands than without a lease. */
function fall(results: readonly InProcess[], name: InProcessName, subjects: number, inFlight: number): number {
  const commands = (of: InProcessName): number =>
    find(results, of, subjects, inFlight)?.commandsPerThousand ?? Number.NaN;
  return commands('neither') / commands(name);
}

function table(results: readonly InProcess[]): Table {
  return {
    title: 'Decided in process',
    intro: `Subjects drawn at random that are blocked, or under a leased policy of 100 million a minute (leases of up to so many units
for up to 5 s), or under the same policy without a lease. Up to a million decisions a round, five rounds: the median of the speeds, and all commands together.`,
    columns: [
      { heading: 'decisions' },
      { heading: 'subjects', digits: 0 },
      { heading: 'in flight', digits: 0 },
      { heading: 'decisions/s', digits: 0 },
      { heading: 'commands per 1,000', digits: 3 },
      { heading: 'fewer than without a lease', digits: 0, unit: '×' },
    ],
    rows: results.map(({ name, subjects, inFlight, decisionsPerSecond, commandsPerThousand }) => [
      NAMES[name],
      subjects,
      inFlight,
      Math.round(decisionsPerSecond),
      commandsPerThousand,
      name.includes('lease') ? valueOr(fall(results, name, subjects, inFlight), '') : '',
    ]),
    notes: `Commands are those that clients sent, those of the pulse that keeps the memory honest included (two a second,
whatever the load). Many blocked subjects drawn at random are slower than one, and so is the Map: their texts and
numbers don't stay in the processor's cache.

Where the bound of leases lies: a lease saves as many decisions as it has units, or as its subject spends before it ends:
the smaller of \`size\` and rate × \`ttlMs\`, after it has doubled up to there from one. Leases that are asked for in one turn
share a call as decisions do, so that beside batches commands fall as far.`,
  };
}

function valueOr(value: number, otherwise: string): number | string {
  return Number.isNaN(value) ? otherwise : value;
}
