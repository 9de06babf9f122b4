import {
  type BlockRow,
  upsertBlocks,
  type BreakerEventRow,
  insertBreakerEvents,
  insertMetrics,
  type MetricRow,
  addDecisions,
  type DecisionReportRow,
  type GapRow,
  upsertOutages,
  endEpochs,
  type EndedEpochRow,
  type ChangeRow,
  insertChanges,
} from '@spillway/db';
import {
  type BlockEvent,
  parseBlockEvent,
  type NearLimitEvent,
  parseNearLimitEvent,
  parseDecisionCountsEvent,
} from '@spillway/limiter';
import { type EventTable, withoutNul } from './event-writer.ts';
import { type BreakerEvent, parseBreakerEvent } from '@spillway/breaker/events';
import { createHash } from 'node:crypto';
import { type GapEvent, parseGapEvent, EventFields, type OutboxEvent, parseChangeEvent } from '@spillway/redis';
import { droppedId, endedEpochId } from '../outbox.ts';

/** Events of type `block`: snapshots of a block with running totals, one row per block, as far as the limit of rows goes. */
export const blockTable: EventTable<BlockRow> = {
  type: 'block',
  parse: (event) => toBlockRow(parseBlockEvent(event)),
  idOf: (row) => row.id,
  merge: mergeBlocks,
  write: async (db, rows, { blockRowsPerMinute }) => upsertBlocks(db, rows, blockRowsPerMinute),
};

/** Two snapshots of one block as one, in whichever order they came, by the same rules as `upsertBlocks`. */
export function mergeBlocks(one: BlockRow, other: BlockRow): BlockRow {
  const [older, newer] = one.updatedAtMs <= other.updatedAtMs ? [one, other] : [other, one];
  const sameMoment = older.updatedAtMs === newer.updatedAtMs;
  return {
    ...newer,
    deniedCount: Math.max(one.deniedCount, other.deniedCount),
    lastRequestAtMs: Math.max(one.lastRequestAtMs, other.lastRequestAtMs),
    blockedUntilMs: sameMoment ? Math.min(one.blockedUntilMs, other.blockedUntilMs) : newer.blockedUntilMs,
  };
}

/** Field by field: a rest pattern here was the sink's dearest line. */
function toBlockRow(event: BlockEvent): BlockRow {
  return {
    id: event.id,
    key: withoutNul(event.key),
    tier: event.tier,
    action: withoutNul(event.action),
    identifier: withoutNul(event.identifier),
    limitCount: event.limitCount,
    windowMs: event.windowMs,
    requestCount: event.requestCount,
    deniedCount: event.deniedCount,
    windowStartMs: event.windowStartMs,
    lastRequestAtMs: event.lastRequestAtMs,
    blockedUntilMs: event.blockedUntilMs === 'forever' ? Infinity : event.blockedUntilMs,
    mode: event.mode,
    outboxShard: event.shard,
    outboxEpoch: event.epoch,
    outboxSeq: event.seq,
    createdAtMs: event.createdAtMs,
    updatedAtMs: event.updatedAtMs,
  };
}

/**
 * Events of type `breaker`, one row each. A transition is one row, whichever instance reports it, identified by preset, name, epoch and type;
 * the others are known by their place in the outbox.
 */
export const breakerTable: EventTable<BreakerEventRow> = {
  type: 'breaker',
  parse: (event) => toBreakerRow(parseBreakerEvent(event)),
  idOf: (row) => row.id,
  // An event happens once; two of one id are the same delivered twice.
  merge: (one) => one,
  write: insertBreakerEvents,
};

function toBreakerRow(event: BreakerEvent): BreakerEventRow {
  return {
    id: event.id,
    breakerName: event.breakerName,
    preset: event.preset,
    eventType: event.eventType,
    failureCount: event.failureCount,
    errorMessage: event.errorMessage === null ? null : withoutNul(event.errorMessage),
    metadata: metadataWithoutNul(event.metadata),
    breakerEpoch: event.breakerEpoch,
    outboxShard: event.shard,
    outboxEpoch: event.epoch,
    outboxSeq: event.seq,
    createdAtMs: event.atMs,
  };
}

function metadataWithoutNul(metadata: BreakerEvent['metadata']): BreakerEvent['metadata'] {
  const entries = Object.entries(metadata);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value === 'string' ? withoutNul(value) : value]),
  );
}

/** Events of type `near_limit`: one sample each, in `system_metrics`. */
export const nearLimitTable: EventTable<MetricRow> = {
  type: 'near_limit',
  parse: (event) => ({
    ...toMetricRow(parseNearLimitEvent(event)),
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
function toMetricRow({ id, policy, action, subject, limit, remaining, atMs }: NearLimitEvent): MetricRow {
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

/** Events of type `decisions`: a row of `decision_reports` each, once added to the counts of its minute and its hour. */
export const decisionCountsTable: EventTable<DecisionReportRow> = {
  type: 'decisions',
  parse: (event) => {
    const { id, policy, outcome, count, overMs, atMs } = parseDecisionCountsEvent(event);
    const outbox = { outboxShard: event.shard, outboxEpoch: event.epoch, outboxSeq: event.seq };
    return { id, policy, outcome, count, overMs, recordedAtMs: atMs, ...outbox };
  },
  idOf: (row) => row.id,
  // An event happens once; two of one id are the same delivered twice.
  merge: (one) => one,
  write: async (db, rows) => addDecisions(db, rows),
};

/** What `audit_gaps.detail` says of an outage. */
interface OutageDetail {
  /** The first and the last decision without Redis, ISO 8601. */
  readonly from: string;
  readonly to: string;
  readonly instances: number;
  readonly reports: number;
  readonly decisions: Readonly<Record<string, number>>;
}

/** An outage as a row, and how far its snapshot has come. */
type OutageRow = GapRow & { readonly reports: number };

/** Events of type `gap`: snapshots of an outage with running totals, one row per outage. */
export const outageTable: EventTable<OutageRow> = {
  type: 'gap',
  parse: (event) => toOutageRow(parseGapEvent(event)),
  idOf: (row) => row.id,
  merge: (one, other) => (one.reports > other.reports ? one : other),
  write: upsertOutages,
};

function toOutageRow({ id, kind, shard, epoch, seq, createdAtMs, ...event }: GapEvent): OutageRow {
  const { fromMs, toMs, instances, reports, decisions } = event;
  const detail: OutageDetail = {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    instances,
    reports,
    decisions,
  };
  return {
    id,
    kind,
    outboxShard: shard,
    outboxEpoch: epoch,
    outboxSeq: seq,
    detail: { ...detail },
    detectedAtMs: createdAtMs,
    reports,
  };
}

/** Events of type `epoch`: an epoch of an outbox is over, one row of kind `epoch_ended`, whichever process reports it. */
export const endedEpochTable: EventTable<EndedEpochRow> = {
  type: 'epoch',
  parse: toEndedEpochRow,
  idOf: (row) => row.id,
  merge: (one, other) => ({
    ...other,
    seenSeq: Math.max(one.seenSeq, other.seenSeq),
    dropped: (one.dropped?.count ?? 0) > (other.dropped?.count ?? 0) ? one.dropped : other.dropped,
  }),
  write: endEpochs,
};

function toEndedEpochRow(event: OutboxEvent): EndedEpochRow {
  const fields = new EventFields(event);
  const { shard, atMs } = event;
  const epoch = fields.number('ended');
  const isDroppedKnown = fields.text('dropped') !== '';
  return {
    id: endedEpochId(shard, epoch),
    shard,
    epoch,
    seenSeq: fields.number('seen'),
    detail: { nextEpoch: fields.number('next'), endedAt: new Date(atMs).toISOString() },
    dropped: isDroppedKnown ? { id: droppedId(shard, epoch), count: fields.number('dropped') } : null,
  };
}

/** Events of type `change`: what was changed by hand, one row each. */
export const changeTable: EventTable<ChangeRow> = {
  type: 'change',
  parse: (event) => {
    const { id, shard, epoch, seq, atMs, ...change } = parseChangeEvent(event);
    return {
      id,
      actor: withoutNul(change.actor),
      action: withoutNul(change.action),
      objectKind: withoutNul(change.objectKind),
      object: withoutNul(change.object),
      before: change.before,
      after: change.after,
      note: change.note === null ? null : withoutNul(change.note),
      outboxShard: shard,
      outboxEpoch: epoch,
      outboxSeq: seq,
      createdAtMs: atMs,
    };
  },
  idOf: (row) => row.id,
  // A change happens once; two of one id are the same delivered twice.
  merge: (one) => one,
  write: insertChanges,
};
