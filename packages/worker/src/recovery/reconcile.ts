import {
  endEpochs,
  findMissing,
  type GapKind,
  type GapRange,
  insertGaps,
  type KnownSeq,
  listEpochs,
  moveWatermarks,
  type Queryable,
  type SeqBounds,
  type StoredEpoch,
} from '@spillway/db';
import {
  type OutboxClient,
  readHead,
  endedEpochId,
  deterministicUuid,
  type OutboxHead,
  sequenceOf,
} from '../outbox.ts';
import { outboxKeys } from '@spillway/redis';

/** What {@link reconcile} reads and writes. */
export interface ReconcileDeps {
  /** The limiters' Redis. */
  readonly redis: OutboxClient;
  readonly pool: Queryable;
  readonly shards: number;
  /** As the limiters have it. @default none */
  readonly namespace?: string;
}

/** How to look. */
export interface ReconcileOptions {
  /** Finds and writes nothing. @default false */
  readonly dryRun?: boolean;
  /** When aborted, the look ends without a report. */
  readonly signal?: AbortSignal;
}

/** An epoch that is over. `seq` is its highest number that is stored or on its way. */
export interface EndedEpoch extends KnownSeq {
  /**
   * How many numbers beyond that a worker saw given out: so many events are lost at least, and are among the missing. What
   * was given out after a worker last looked is lost without a number to miss it by. `unknown` when none ever looked.
   */
  readonly lostAtLeast: number | 'unknown';
}

/** What was found. */
export interface ReconcileReport {
  /** Numbers that are nowhere and were not reported before. */
  readonly missing: readonly GapRange[];
  /** How many events these are. */
  readonly missingEvents: number;
  /** Epochs that are over: Redis was emptied, restarted or replaced by a replica. */
  readonly ended: readonly EndedEpoch[];
  /** What was compared. */
  readonly checked: readonly SeqBounds[];
  readonly dryRun: boolean;
}

/**
 * Compares the numbers that the limiters gave their events with those in the tables, and writes a row of kind `missing`
 * into `audit_gaps` for each range that is found nowhere. A range is reported once. Reads the numbers above
 * `audit_watermarks` only, and moves these up to the first number of each outbox that is still on its way: Redis may lose
 * that one yet.
 *
 * Numbers in the outbox, those of dead letters, and those that were stored and then deleted by age are not missing. The places
 * are looked at in the order in which events pass through them: counters, outbox, tables. So an event that moves meanwhile is seen
 * in at least one.
 *
 * An epoch that is over (Redis was emptied, restarted or replaced) is looked at up to the highest number that a worker saw in
 * it. A row of kind `epoch_ended` says how many of these are lost; numbers that were assigned unseen can't be counted.
 *
 * @throws the signal's reason when it is aborted, pg's and ioredis' errors.
 */
export async function reconcile(
  deps: ReconcileDeps,
  { dryRun = false, signal }: ReconcileOptions = {},
): Promise<ReconcileReport> {
  const { redis, pool, shards, namespace } = deps;
  const outboxes = await Promise.all(
    Array.from({ length: shards }, async (_, shard) => {
      const { epoch, seq } = await readHead(redis, shard, namespace);
      return { shard, epoch, seq, oldest: await oldestSeqs(redis, { shard, epoch }, namespace) };
    }),
  );
  const stored = await listEpochs(pool);
  const checked = bounds(outboxes, stored);
  const missing = await findMissing(pool, checked, { signal });
  const ended = endedEpochs(outboxes, stored);
  if (!dryRun) {
    await report(pool, missing);
    await reportEnded(pool, ended);
    // Last: a number below the watermark is never looked at again.
    await moveWatermarks(
      pool,
      checked.map(({ shard, epoch, high }) => ({ shard, epoch, seq: high })),
    );
  }
  const missingEvents = missing.reduce((sum, { fromSeq, toSeq }) => sum + toSeq - fromSeq + 1, 0);
  return { missing, missingEvents, ended, checked, dryRun };
}

/** An outbox, and the oldest number of each epoch that is in it still. */
interface Outbox extends KnownSeq {
  readonly oldest: ReadonlyMap<number, number>;
}

/** Each epoch up to what has left the outbox: the present ones to their last number, those that are over to the highest seen. */
function bounds(outboxes: readonly Outbox[], stored: readonly StoredEpoch[]): SeqBounds[] {
  const present = new Map(outboxes.map((outbox) => [outbox.shard, outbox]));
  const past = stored.filter(({ shard, epoch }) => present.get(shard)?.epoch !== epoch);
  const epochs = [
    ...outboxes.map(({ shard, epoch, seq }) => ({ shard, epoch, high: seq })),
    ...past.map(({ shard, epoch, seq, seenSeq }) => ({ shard, epoch, high: Math.max(seq, seenSeq) })),
  ];
  return epochs
    .map(({ shard, epoch, high }) => {
      const waiting = present.get(shard)?.oldest.get(epoch) ?? Infinity;
      return { shard, epoch, high: Math.min(high, waiting - 1) };
    })
    .filter(({ epoch, high }) => epoch > 0 && high > 0);
}

/** The epochs of these outboxes that are not the present ones. */
function endedEpochs(outboxes: readonly Outbox[], stored: readonly StoredEpoch[]): EndedEpoch[] {
  const present = new Map(outboxes.map((outbox) => [outbox.shard, outbox]));
  return stored
    .filter(({ shard, epoch }) => epoch > 0 && (present.get(shard)?.epoch ?? epoch) !== epoch)
    .map(({ shard, epoch, seq, seenSeq }) => {
      // What waits in the outbox isn't lost. The oldest of it is known: nothing behind it is lost.
      const waits = present.get(shard)?.oldest.has(epoch) === true ? seenSeq : 0;
      const last = Math.max(seq, waits);
      return { shard, epoch, seq: last, lostAtLeast: seenSeq === 0 ? 'unknown' : Math.max(0, seenSeq - last) };
    });
}

async function report(db: Queryable, missing: readonly GapRange[]): Promise<void> {
  await insertGaps(
    db,
    missing.map((range) => ({
      id: deterministicUuid(['missing', range.shard, range.epoch, range.fromSeq, range.toSeq]),
      kind: 'missing' satisfies GapKind,
      ...range,
      detail: { foundBy: 'reconcile' },
      detectedAtMs: Date.now(),
    })),
  );
}

async function reportEnded(db: Queryable, ended: readonly EndedEpoch[]): Promise<void> {
  await endEpochs(
    db,
    ended.map(({ shard, epoch, seq, lostAtLeast }) => ({
      id: endedEpochId(shard, epoch),
      shard,
      epoch,
      seenSeq: 0,
      detail: { lastStoredSeq: seq, lostAtLeast },
      dropped: null,
    })),
  );
}

/** Entries that are looked at in one go. */
const PAGE = 100;

/**
 * The number of the oldest event of each epoch that is in a shard's outbox still, down to the epoch `until`. Events stand there
 * in the order of their epochs, so that a reader may stop at the first row of the current one.
 */
async function oldestSeqs(
  redis: OutboxClient,
  { shard, epoch: until }: Pick<OutboxHead, 'shard' | 'epoch'>,
  namespace = '',
): Promise<Map<number, number>> {
  const oldest = new Map<number, number>();
  let from = '-';
  for (;;) {
    const entries = await redis.xrange(outboxKeys(shard, namespace).stream, from, '+', 'COUNT', PAGE);
    for (const [id, fields] of entries) {
      const event = sequenceOf([shard, id, fields]);
      if (event !== undefined && !oldest.has(event.epoch)) oldest.set(event.epoch, event.seq);
      if (event?.epoch === until) return oldest;
    }
    const last = entries.at(-1);
    if (last === undefined || entries.length < PAGE) return oldest;
    from = `(${last[0]}`;
  }
}
