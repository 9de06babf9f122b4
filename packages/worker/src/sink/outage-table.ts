import { type GapRow, upsertOutages } from '@spillway/db';
import { type GapEvent, parseGapEvent } from '@spillway/redis';
import type { EventTable } from './event-writer.ts';

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
  parse: (event) => toRow(parseGapEvent(event)),
  idOf: (row) => row.id,
  merge: (one, other) => (one.reports > other.reports ? one : other),
  write: upsertOutages,
};

function toRow({ id, kind, shard, epoch, seq, createdAtMs, ...event }: GapEvent): OutageRow {
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
