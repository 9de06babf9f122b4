import { insertMetrics, type MetricRow } from '@spillway/db';
import { parseDecisionCountsEvent } from '@spillway/limiter';
import type { EventTable } from './event-writer.ts';

/** Events of type `decisions`: one sample each, in `system_metrics`, whose value is the count. */
export const decisionCountsTable: EventTable<MetricRow> = {
  type: 'decisions',
  parse: (event) => {
    const { id, policy, outcome, count, overMs, atMs } = parseDecisionCountsEvent(event);
    return {
      id,
      metricName: 'rate_limit.decisions',
      metricValue: count,
      metricUnit: 'decisions',
      tags: { policy, outcome, over_ms: overMs },
      recordedAtMs: atMs,
      outboxShard: event.shard,
      outboxEpoch: event.epoch,
      outboxSeq: event.seq,
    };
  },
  idOf: (row) => row.id,
  // An event happens once; two of one id are the same delivered twice.
  merge: (one) => one,
  write: insertMetrics,
};
