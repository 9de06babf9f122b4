import type { Findings, Goal, Section, Table } from '../section.ts';
import { cluster, type Deployment, deployments, hotCases, type PolicyName, single, spreadCases } from './masters.ts';

const MOST_MASTERS = 3;
const IN_FLIGHT = 256;

const NAMES: Readonly<Record<PolicyName, string>> = {
  'fixed-window': 'fixed window',
  'sliding-log': 'sliding log',
  'no-lease': 'no lease',
  leases: 'leases of 5,000',
};

/** How a decision's cost spreads over the masters of a Cluster, and what is left of it for a hot key with leases. */
export const clusterSection: Section = {
  name: 'cluster',
  title: 'Cluster',
  async measure(effort): Promise<Findings> {
    const spread: Deployment[] = [];
    const hot: Deployment[] = [];
    for (const masters of [undefined, 1, 2, MOST_MASTERS]) {
      const servers = await (masters === undefined ? single() : cluster(masters));
      try {
        const loads = new Set([IN_FLIGHT, IN_FLIGHT * servers.masters]);
        for (const inFlight of loads)
          spread.push(...(await deployments(servers, { cases: spreadCases, inFlight, effort })));
        if (masters === undefined || masters === MOST_MASTERS)
          hot.push(...(await deployments(servers, { cases: hotCases, inFlight: IN_FLIGHT, effort })));
      } finally {
        await servers.stop();
      }
    }
    return { goals: [...spreadGoals(spread), ...hotGoals(hot)], tables: [mastersTable(spread), hotTable(hot)] };
  },
};

/** What the busiest server could decide in a second if it had a core of its own. */
function carried({ redisMicros, busiestShare }: Deployment): number {
  return 1e6 / (redisMicros * busiestShare);
}

function spreadGoals(found: readonly Deployment[]): readonly Goal[] {
  return (['fixed-window', 'sliding-log'] as const).map((policy) => {
    const many = found.filter((one) => one.policy === policy && one.subjects > 1 && one.name !== 'one Redis');
    // Each master under the same load: what three carry together shows only when there is three times as much to do.
    const [one, three] = [1, MOST_MASTERS].map((masters) =>
      many.find((each) => each.masters === masters && each.inFlight === IN_FLIGHT * masters),
    );
    return {
      name: `what the busiest master carries, three masters against one, 256 in flight for each, ${NAMES[policy]}`,
      measured: one === undefined || three === undefined ? Number.NaN : carried(three) / carried(one),
      bound: 2.2,
      better: 'more',
      unit: '×',
      noise: 0.2,
    };
  });
}

function hotGoals(found: readonly Deployment[]): readonly Goal[] {
  const [bare, leased] = found.filter(({ masters }) => masters === MOST_MASTERS);
  if (bare === undefined || leased === undefined) return [];
  return [
    {
      name: 'a hot subject on three masters: commands fall by leases',
      measured: bare.commandsPerThousand / leased.commandsPerThousand,
      bound: 10,
      better: 'more',
      unit: '×',
      noise: 0.3,
    },
  ];
}

function mastersTable(found: readonly Deployment[]): Table {
  return {
    title: 'Masters',
    intro: `Decisions in flight by one Node process, 256 and 256 for each master, windows that refuse nobody, 60,000 decisions a
round, medians of three. The log has a limit of 1,000.`,
    columns: [
      { heading: 'Redis' },
      { heading: 'algorithm' },
      { heading: 'subjects', digits: 0 },
      { heading: 'in flight', digits: 0 },
      { heading: 'decisions/s', digits: 0 },
      { heading: 'client CPU µs', digits: 2 },
      { heading: 'Redis CPU µs', digits: 2 },
      { heading: 'commands per 1,000', digits: 0 },
      { heading: 'of the CPU the busiest master', digits: 0, unit: ' %' },
      { heading: 'one core of the busiest would carry, decisions/s', digits: 0 },
    ],
    rows: found.map((one) => [
      one.name,
      NAMES[one.policy],
      one.subjects,
      one.inFlight,
      Math.round(one.decisionsPerSecond),
      one.clientMicros,
      one.redisMicros,
      one.commandsPerThousand,
      100 * one.busiestShare,
      Math.round(carried(one)),
    ]),
    notes: `Client and masters share the cores of one machine here, so that more masters can't decide more: what scales is the last
column, which is computed from the CPU that the busiest master used for a decision. It grows with the masters as long as
subjects spread over the shards, and not at all for a single subject, whose window has one place.

It grows by less than the number of masters: of 16 shards the busiest of three masters has 6, one Redis takes up to 64 requests in a
call, of whatever shards, while in a Cluster a call carries those of one shard, and the same load on more masters makes fewer calls for
each wake-up of a master.`,
  };
}

function hotTable(found: readonly Deployment[]): Table {
  return {
    title: 'Hot keys',
    intro: `One subject that everybody wants, limit 100 million a minute (\`auto\` counts in sub-buckets), 256 decisions in flight by one
process, with and without leases of up to 5,000 units for up to 5 s. Medians of three rounds.`,
    columns: [
      { heading: 'Redis' },
      { heading: 'policy' },
      { heading: 'decisions/s', digits: 0 },
      { heading: 'commands per 1,000', digits: 3 },
      { heading: 'Redis CPU µs per 1,000', digits: 1 },
    ],
    rows: found.map((one) => [
      one.name,
      NAMES[one.policy],
      Math.round(one.decisionsPerSecond),
      one.commandsPerThousand,
      1_000 * one.redisMicros,
    ]),
    notes: `A hot window has one place however many masters there are, so a Cluster doesn't help it. A lease does: what it takes from
Redis falls by its size, on one Redis and on three masters alike. Without a lease up to 64 decisions share a call already.
The servers' own ticks are in the CPU.`,
  };
}
