import {
  findMissing,
  type GapRange,
  insertGaps,
  type KnownSeq,
  listEpochs,
  type Queryable,
  type SeqBounds,
  waitingPayloads,
} from '@spillway/db';
import { hashId } from '../hash-id.ts';
import { type OutboxClient, readHeads } from '../outbox-head.ts';
import type { AuditQueue } from '../queue/audit-queue.ts';
import { isPayload } from '../replay/replay-dead-letters.ts';
import { oldestSeq, queuedSeqs, seqOf } from './on-the-way.ts';

/** What {@link reconcile} reads and writes. */
export interface ReconcileDeps {
  /** The limiters' Redis. */
  readonly redis: OutboxClient;
  readonly queue: AuditQueue;
  readonly pool: Queryable;
  readonly shards: number;
}

/** How to look. */
export interface ReconcileOptions {
  /** Finds and writes nothing. @default false */
  readonly dryRun?: boolean;
  /** When aborted, the look ends without a report. */
  readonly signal?: AbortSignal;
}

/** What was found. */
export interface ReconcileReport {
  /** Numbers that are nowhere and were not reported before. */
  readonly missing: readonly GapRange[];
  /** How many events these are. */
  readonly missingEvents: number;
  /**
   * Epochs that are over, with the last number that is stored: Redis was emptied, restarted or replaced by a replica. What it
   * had given out beyond that number, and never passed on, is lost without a number to miss it by.
   */
  readonly ended: readonly KnownSeq[];
  /** What was compared. */
  readonly checked: readonly SeqBounds[];
  readonly dryRun: boolean;
}

/**
 * Compares the numbers that the limiters gave their events with those in the tables, and writes a row of kind `missing`
 * into `audit_gaps` for each range that is nowhere. A range is reported once. Reads the tables of events whole: for once a
 * day, or by hand.
 *
 * Not missing is what still is on its way (in the outbox, in a job), what is a dead letter, and what was stored and then
 * cleaned by age (`audit_watermarks`). The places are looked at in the order in which events pass through them: counters,
 * outbox, queue, dead letters, tables. So an event that moves meanwhile is seen in at least one.
 *
 * Of an epoch that is over (Redis was emptied, restarted or replaced) nobody knows the last number: its tail can't be missed,
 * and a row of kind `epoch_ended` says so, once.
 *
 * @throws the signal's reason when it is aborted, pg's and ioredis' errors.
 */
export async function reconcile(
  deps: ReconcileDeps,
  { dryRun = false, signal }: ReconcileOptions = {},
): Promise<ReconcileReport> {
  const { redis, queue, pool, shards } = deps;
  const tops = await Promise.all(
    (await readHeads(redis, shards)).map(async (head) => {
      const oldest = await oldestSeq(redis, head);
      return { shard: head.shard, epoch: head.epoch, seq: Math.min(head.seq, oldest - 1) };
    }),
  );
  const known = await queuedSeqs(queue, signal);
  for await (const payloads of waitingPayloads(pool)) {
    signal?.throwIfAborted();
    for (const payload of payloads) {
      const seq = isPayload(payload) ? seqOf([payload.shard, payload.entryId, payload.fields]) : undefined;
      if (seq !== undefined) known.push(seq);
    }
  }
  const stored = await listEpochs(pool);
  const checked = bounds(tops, stored);
  const missing = await findMissing(pool, checked, known);
  const present = new Map(tops.map(({ shard, epoch }) => [shard, epoch]));
  const ended = stored.filter(({ shard, epoch }) => epoch > 0 && (present.get(shard) ?? epoch) !== epoch);
  if (!dryRun) {
    await report(pool, missing);
    await reportEnded(pool, ended);
  }
  const missingEvents = missing.reduce((sum, { fromSeq, toSeq }) => sum + toSeq - fromSeq + 1, 0);
  return { missing, missingEvents, ended, checked, dryRun };
}

/** Present epochs up to what has left the outbox, earlier ones up to what is known of them. */
function bounds(tops: readonly KnownSeq[], stored: readonly KnownSeq[]): SeqBounds[] {
  const highs = new Map([...stored, ...tops].map((top) => [`${top.shard}/${top.epoch}`, top]));
  return Array.from(highs.values(), ({ shard, epoch, seq }) => ({ shard, epoch, high: seq })).filter(
    ({ epoch, high }) => epoch > 0 && high > 0,
  );
}

async function report(db: Queryable, missing: readonly GapRange[]): Promise<void> {
  await insertGaps(
    db,
    missing.map((range) => ({
      id: hashId(['missing', range.shard, range.epoch, range.fromSeq, range.toSeq]),
      kind: 'missing',
      ...range,
      detail: { foundBy: 'reconcile' },
      detectedAtMs: Date.now(),
    })),
  );
}

async function reportEnded(db: Queryable, ended: readonly KnownSeq[]): Promise<void> {
  await insertGaps(
    db,
    ended.map(({ shard, epoch, seq }) => ({
      id: hashId(['epoch_ended', shard, epoch]),
      kind: 'epoch_ended',
      detail: { shard, epoch, lastStoredSeq: seq, foundBy: 'reconcile' },
      detectedAtMs: Date.now(),
    })),
  );
}
