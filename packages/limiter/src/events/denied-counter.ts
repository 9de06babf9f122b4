import type { RedisClient, RedisScript } from '@spillway/redis';
import { reportTimer } from './report.ts';

/** What a {@link DeniedCounter} is made of. */
export interface DeniedCounterOptions {
  readonly client: RedisClient;
  readonly script: RedisScript<number>;
  readonly outboxCap: number;
  /** How long refusals of one block are gathered before they are reported. */
  readonly intervalMs: number;
}

/** Counts refusals of blocked subjects and reports them in bulk: a flood costs Redis one event a second and subject. */
export interface DeniedCounter {
  /** `count`: how many. @default 1 */
  add(key: string, count?: number): void;
  /** Reports what is left. */
  close(): Promise<void>;
}

const MAX_KEYS_A_CALL = 256;

/**
 * Makes a {@link DeniedCounter}. Refusals counted while the connection is away wait for it; those of a report that
 * failed after it was sent are not sent again, since it may have been carried out.
 */
export function deniedCounter({ client, script, outboxCap, intervalMs }: DeniedCounterOptions): DeniedCounter {
  const counts = new Map<string, number>();

  async function report(): Promise<void> {
    const batches = [...chunks(counts, client.isCluster === true)];
    counts.clear();
    await Promise.allSettled(
      batches.map((batch) =>
        script.run(
          client,
          batch.map(([key]) => key),
          [outboxCap, ...batch.map(([, count]) => count)],
        ),
      ),
    );
  }

  const timer = reportTimer({ client, everyMs: intervalMs, report });
  return {
    add(key, count = 1) {
      if (outboxCap === 0) return;
      counts.set(key, (counts.get(key) ?? 0) + count);
      timer.arm();
    },
    close: () => timer.close(counts.size > 0),
  };
}

/** What is to be said of keys, in batches that one call can carry: of one shard each when Redis is a Cluster. */
export function* chunks<Entry extends readonly [key: string, ...rest: unknown[]]>(
  entries: Iterable<Entry>,
  oneShardEach: boolean,
): Generator<Entry[]> {
  const sorted = oneShardEach ? [...entries].toSorted(([one], [other]) => (one < other ? -1 : 1)) : [...entries];
  let batch: Entry[] = [];
  for (const entry of sorted) {
    const [first] = batch;
    const otherShard = oneShardEach && first !== undefined && tagOf(first[0]) !== tagOf(entry[0]);
    if (batch.length === MAX_KEYS_A_CALL || otherShard) {
      yield batch;
      batch = [];
    }
    batch.push(entry);
  }
  if (batch.length > 0) yield batch;
}

function tagOf(key: string): string {
  return key.slice(0, key.indexOf('}'));
}
