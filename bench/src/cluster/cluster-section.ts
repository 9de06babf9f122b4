import type { Findings, Section, Table } from '../section.ts';
import { type Deployment, deployments } from './masters.ts';

/** How a decision's cost spreads over the masters of a Cluster. */
export const clusterSection: Section = {
  name: 'cluster',
  title: 'Cluster',
  async measure(): Promise<Findings> {
    return { goals: [], tables: [mastersTable(await deployments())] };
  },
};

function mastersTable(found: readonly Deployment[]): Table {
  return {
    title: 'Masters',
    intro: `256 decisions in flight by one Node process, a fixed window that refuses nobody, 100,000 decisions a
round, medians of three.`,
    columns: [
      { heading: 'Redis' },
      { heading: 'subjects', digits: 0 },
      { heading: 'decisions/s', digits: 0 },
      { heading: 'client CPU µs', digits: 2 },
      { heading: 'Redis CPU µs', digits: 2 },
      { heading: 'of it the busiest master', digits: 0, unit: ' %' },
      { heading: 'one core of the busiest would carry, decisions/s', digits: 0 },
    ],
    rows: found.map(({ name, subjects, decisionsPerSecond, clientMicros, redisMicros, busiestShare }) => [
      name,
      subjects,
      Math.round(decisionsPerSecond),
      clientMicros,
      redisMicros,
      100 * busiestShare,
      Math.round(1e6 / (redisMicros * busiestShare)),
    ]),
    notes: `Client and masters share two cores here, so that more masters can't decide more: what scales is the last column, which is
computed from the CPU that the busiest master used for a decision. It grows with the masters as long as subjects spread
over the shards, and not at all for a single subject, whose window has one place.`,
  };
}
