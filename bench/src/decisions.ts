/*
 * Where a reader finds why a goal is what it is, and why it isn't met: the decision of each section's topic, by the section's name. Kept
 * apart from the results, so that older results have it too.
 */

/** The file in docs/adr, by section; goals of another topic by how their names begin. */
const DECISIONS: Readonly<Record<string, Topic>> = {
  api: { decision: '0122-api-speed-of-decisions.md' },
  audit: { decision: '0130-trail-throughput-and-idle-cost.md' },
  breaker: { decision: '0045-breaker-the-path-of-a-call.md' },
  cluster: {
    decision: '0020-speed-of-a-decision.md',
    others: { 'a hot subject': '0011-deny-cache-and-leases.md' },
  },
  dashboard: { decision: '0106-what-the-dashboard-reads-is-bounded.md' },
  fleet: {
    decision: '0047-breaker-fleet-and-local-state.md',
    others: {
      'a live override': '0010-live-policies-and-the-policy-file.md',
      'an unblocked subject': '0011-deny-cache-and-leases.md',
    },
  },
  http: { decision: '0124-what-each-door-costs.md' },
  'in-process': {
    decision: '0020-speed-of-a-decision.md',
    others: { 'leases of': '0011-deny-cache-and-leases.md' },
  },
  limiter: { decision: '0020-speed-of-a-decision.md' },
  maintenance: {
    decision: '0057-archive-how-rows-move.md',
    others: {
      cleanup: '0105-postgres-tables-that-grow.md',
      get_metric_stats: '0105-postgres-tables-that-grow.md',
    },
  },
};

interface Topic {
  readonly decision: string;
  readonly others?: Readonly<Record<string, string>>;
}

/** The file in docs/adr that a goal belongs to. @throws {Error} when nothing is listed for the section */
export function decisionOf(section: string, goal: string): string {
  const topic = DECISIONS[section];
  if (topic === undefined) throw new Error(`bench/src/decisions.ts lists no decision for the section ${section}`);
  const other = Object.entries(topic.others ?? {}).find(([begin]) => goal.startsWith(begin));
  return other?.[1] ?? topic.decision;
}

/** The number by which a decision is called: `0045-breaker….md` is 45. */
export function decisionNumber(file: string): number {
  return Number.parseInt(file, 10);
}
