import { createHash } from 'node:crypto';
import { insertMetrics, type MetricRow } from '@spillway/db';
import { type NearLimitEvent, parseNearLimitEvent } from '@spillway/limiter';
import { type EventTable, withoutNul } from './event-writer.ts';

/** Events of type `near_limit`: one sample each, in `system_metrics`. */
export const nearLimitTable: EventTable<MetricRow> = {
  type: 'near_limit',
  parse: (event) => ({
    ...toRow(parseNearLimitEvent(event)),
    outboxShard: event.shard,
    outboxEpoch: event.epoch,
    outboxSeq: event.seq,
  }),
  idOf: (row) => row.id,
  // An event happens once; two of one id are the same delivered twice.
  merge: (one) => one,
  write: insertMetrics,
};

/**
 * The value is the share of the limit that is used, so that policies compare. Coming near a limit is allowed: the subject is
 * kept as a hash, enough to count subjects and to look for a known one.
 */
function toRow({ id, policy, action, subject, limit, remaining, atMs }: NearLimitEvent): MetricRow {
  const subjectHash = createHash('sha256').update(subject).digest('hex').slice(0, 32);
  return {
    id,
    metricName: 'rate_limit.near_limit',
    metricValue: limit === 0 ? 1 : (limit - remaining) / limit,
    metricUnit: 'ratio',
    tags: { policy, action: withoutNul(action), subject_hash: subjectHash, limit, remaining },
    recordedAtMs: atMs,
  };
}
