import type { KnownSeq } from '@spillway/db';
import { defineScript, outboxKeys, type RedisScript } from '@spillway/redis';
import { Cluster, type Redis } from 'ioredis';
import type { WorkerLogger } from '../logger.ts';
import * as lua from '../scripts.generated.ts';
import { type AuditEntry, sequenceOf } from '../outbox.ts';
import { repeat } from '../timing.ts';
import { isOutOfMemory } from '../audit-queue.ts';

/** Where an outbox' numbers stand, and which epochs of it were found to be over. */
export interface EpochLook {
  readonly epoch: number;
  readonly lastSeq: number;
  /** Each with the highest number that is known of it. */
  readonly ended: readonly { readonly epoch: number; readonly seenSeq: number }[];
}

/**
 * Looks whether another Redis process gives the numbers of an outbox than the one that began its epoch, and begins a new
 * one if so. Takes the epoch that the caller saw last and the highest number that it saw in it, 0 and 0 for none. Null for an
 * outbox that never had an event.
 */
export const beginEpoch: RedisScript<EpochLook | null> = defineScript(lua.beginEpoch, (reply) => {
  const [epoch, lastSeq, ...rest] = Array.isArray(reply) ? reply.map(Number) : [];
  if (epoch === undefined || lastSeq === undefined) return null;
  const ended = Array.from({ length: rest.length / 2 }, (_, index) => ({
    epoch: rest[2 * index] ?? 0,
    seenSeq: rest[2 * index + 1] ?? 0,
  }));
  return { epoch, lastSeq, ended };
});

/** How often Redis is asked which process it is, in ms. */
const LOOK_MS = 2_500;

/** How often each outbox is looked at though nothing seems to have changed, in ms. */
const FULL_LOOK_MS = 30_000;

/** Of what was read at once, the numbers of so many entries are looked for at most: those of snapshots have none. */
const LAST_ENTRIES = 20;

/** Which outboxes are watched. */
export interface EpochWatchOptions {
  readonly redis: Redis | Cluster;
  readonly shards: number;
  /** As the limiters have it. @default none */
  readonly namespace?: string;
  readonly logger: WorkerLogger;
}

/** A running watch. */
export interface EpochWatch {
  /** Takes note of entries of one outbox, in its order. */
  saw(entries: readonly AuditEntry[]): void;
  close(): void;
}

/**
 * Sees to it that numbers which a failover or a restart would give out again begin again in a new epoch, and that the end of
 * the old one is told with the highest number that this process saw in it. It runs beside the sink: while
 * Postgres is away it looks all the same.
 */
export function watchEpochs({ redis, shards, namespace, logger }: EpochWatchOptions): EpochWatch {
  const stop = new AbortController();
  const headOf = (shard: number): string => outboxKeys(shard, namespace).head;
  const known = new KnownNumbers();
  /** Which process it was when all outboxes were looked at last; undefined when they must be looked at. */
  let process: string | undefined;
  let lookedAtMs = -Infinity;

  async function look(shard: number): Promise<void> {
    const { epoch, seq } = known.of(shard) ?? { epoch: 0, seq: 0 };
    const found = await beginEpoch.run(redis, [headOf(shard)], [epoch, seq]);
    if (found === null) return;
    // What was read while the look was on its way belongs to the epoch that it was read in.
    if (found.ended.length > 0 && known.of(shard)?.epoch === epoch) known.forget(shard);
    known.learn(shard, found.epoch, found.lastSeq);
    if (found.ended.length > 0) logger.warn({ shard, ended: found.ended, next: found.epoch }, NEW_EPOCH);
  }

  /** An outbox costs Redis three commands, and nothing is to be found while the process is the same and the epochs are known. */
  async function lookWhereNeeded(): Promise<void> {
    const now = await processOf(redis);
    const isSame = now !== undefined && now === process;
    if (isSame && performance.now() - lookedAtMs < FULL_LOOK_MS) return;
    process = now; // Before: what is read while the looks are on their way may ask for another.
    const lookOnce = async (_: unknown, shard: number): Promise<void> => {
      const before = known.of(shard);
      const seq = isSame ? await numberIfSame(redis, headOf(shard), now, before?.epoch) : undefined;
      if (seq === undefined) await look(shard);
      // Of events that wait for Postgres only the first ones are read.
      else if (before !== undefined) known.learn(shard, before.epoch, seq);
    };
    await Promise.all(Array.from({ length: shards }, lookOnce));
    lookedAtMs = performance.now();
  }

  let looking: Promise<unknown> | undefined;
  const lookAtAll = (): Promise<unknown> =>
    (looking ??= lookWhereNeeded()
      .catch((error: unknown) => {
        process = undefined;
        // At maxmemory the trail goes on without; the next look tries again.
        if (!stop.signal.aborted && !isOutOfMemory(error)) logger.warn({ err: error }, NOT_LOOKED);
      })
      .finally(() => (looking = undefined)));

  const soon = (): void => {
    process = undefined;
    void lookAtAll();
  };
  for (const event of CONNECTED) redis.on(event, soon);
  void repeat(LOOK_MS, stop.signal, async () => void (await lookAtAll()));
  return {
    saw(entries) {
      const last = lastNumbered(entries);
      if (last === undefined) return;
      // An epoch that this process didn't know: its head has to say which process began it.
      if (known.of(last.shard)?.epoch !== last.epoch) process = undefined;
      known.learn(last.shard, last.epoch, last.seq);
    },
    close() {
      stop.abort();
      for (const event of CONNECTED) redis.off(event, soon);
    },
  };
}

/** The highest number that was assigned, if the process `run` gives those of the epoch that is known: then a look would find nothing. */
async function numberIfSame(
  redis: Redis | Cluster,
  head: string,
  run: string,
  known?: number,
): Promise<number | undefined> {
  const [epoch, began, seq] = await redis.hmget(head, 'epoch', 'run', 'seq');
  const isSame = epoch === null || epoch === undefined ? known === undefined : began === run && Number(epoch) === known;
  return isSame ? Number(seq ?? 0) : undefined;
}

/** The epoch of each outbox that is known, and the highest number that was seen in it. */
class KnownNumbers {
  readonly #byShard = new Map<number, { readonly epoch: number; readonly seq: number }>();

  of(shard: number): { readonly epoch: number; readonly seq: number } | undefined {
    return this.#byShard.get(shard);
  }

  learn(shard: number, epoch: number, seq: number): void {
    const before = this.#byShard.get(shard);
    if (before === undefined || epoch > before.epoch || (epoch === before.epoch && seq > before.seq)) {
      this.#byShard.set(shard, { epoch, seq });
    }
  }

  forget(shard: number): void {
    this.#byShard.delete(shard);
  }
}

/** The id of the process that answers; undefined where it may not be asked, and in a Cluster, where many do. */
async function processOf(redis: Redis | Cluster): Promise<string | undefined> {
  if (redis instanceof Cluster) return undefined;
  const info = await redis.info('server').catch((error: unknown) => {
    if (error instanceof Error && error.message.startsWith('NOPERM')) return '';
    throw error;
  });
  return /run_id:(\w+)/u.exec(info)?.[1];
}

const NEW_EPOCH =
  'pump: Redis was restarted or replaced, and a new epoch begins; events that Redis had not kept are lost';
const NOT_LOOKED = 'pump: could not check whether Redis was restarted or replaced';

/** Of a single server, and of a node of a Cluster. */
const CONNECTED = ['ready', '+node'] as const;

/** Where the last of these entries of one outbox stands that has a number. */
function lastNumbered(entries: readonly AuditEntry[]): KnownSeq | undefined {
  for (const entry of entries.slice(-LAST_ENTRIES).toReversed()) {
    const known = sequenceOf(entry);
    if (known !== undefined) return known;
  }
  return undefined;
}
