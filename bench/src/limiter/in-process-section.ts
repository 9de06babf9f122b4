import { startRedis } from '@spillway/embedded';
import type { Findings, Goal, Section, Table } from '../section.ts';
import { type InProcess, inProcess } from './in-process.ts';

/** Decisions that seldom or never reach Redis. */
export const inProcessSection: Section = {
  name: 'in-process',
  title: 'Decided in process',
  async measure(): Promise<Findings> {
    const redis = await startRedis();
    try {
      const results = await inProcess(redis.url);
      return { goals: goals(results), tables: [table(results)] };
    } finally {
      await redis.stop();
    }
  },
};

function goals(results: readonly InProcess[]): readonly Goal[] {
  const find = (name: string, subjects: number, inFlight: number): InProcess | undefined =>
    results.find((one) => one.name === name && one.subjects === subjects && one.inFlight === inFlight);
  const common = { better: 'more', unit: 'M/s', noise: 0.3 } as const;
  const falls = (inFlight: number): Goal => ({
    name: `a leased policy, ${inFlight} in flight: commands fall, against no lease`,
    measured:
      (find('neither', 100, inFlight)?.commandsPerThousand ?? Number.NaN) /
      (find('leased', 100, inFlight)?.commandsPerThousand ?? Number.NaN),
    bound: 10,
    better: 'more',
    unit: '×',
    noise: 0.3,
  });
  return [
    { name: 'a blocked subject', measured: million(find('blocked', 1, 1)), bound: 2, ...common },
    { name: 'a leased policy', measured: million(find('leased', 1, 1)), bound: 1, ...common },
    falls(1),
    falls(256),
  ];
}

function million(one: InProcess | undefined): number {
  return (one?.decisionsPerSecond ?? Number.NaN) / 1_000_000;
}

function table(results: readonly InProcess[]): Table {
  return {
    title: 'Decided in process',
    intro: `Subjects drawn at random that are blocked, or under a leased policy of 100 million a minute (leases of up to 5,000 units
for up to 5 s), or under the same policy without a lease. Half a million decisions a round (fewer where they are slower),
medians of five rounds.`,
    columns: [
      { heading: 'decisions' },
      { heading: 'subjects', digits: 0 },
      { heading: 'in flight', digits: 0 },
      { heading: 'decisions/s', digits: 0 },
      { heading: 'commands per 1,000', digits: 3 },
    ],
    rows: results.map(({ name, subjects, inFlight, decisionsPerSecond, commandsPerThousand }) => [
      name,
      subjects,
      inFlight,
      Math.round(decisionsPerSecond),
      commandsPerThousand,
    ]),
    notes: `Commands are those that clients sent, those of the pulse that keeps the memory honest included (two each half second,
whatever the load). A thousand blocked subjects drawn at random are slower than one: their answers don't stay in the
processor's cache.`,
  };
}
