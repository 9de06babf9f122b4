import { isReady, type RedisClient, type RedisScript } from '@spillway/redis';

/** What a {@link ReportTimer} waits for, and what it then does. */
export interface ReportTimerOptions {
  readonly client: Pick<RedisClient, 'status'>;
  /** How long things are gathered before they are reported. */
  readonly everyMs: number;
  /** Reports what was gathered. Never rejects. */
  readonly report: () => Promise<void>;
}

/** Reports off the path of decisions: some time after the first thing to report came, and not while Redis is away. */
export interface ReportTimer {
  /** There is something to report. */
  arm(): void;
  /** Reports at once if Redis is there, and stops. @param pending whether there is anything left */
  close(pending: boolean): Promise<void>;
}

/** Makes a {@link ReportTimer}. It never keeps a process alive. */
export function reportTimer({ client, everyMs, report }: ReportTimerOptions): ReportTimer {
  let timer: NodeJS.Timeout | undefined;

  function arm(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      if (isReady(client)) void report();
      else arm();
    }, everyMs).unref();
  }

  return {
    arm,
    async close(pending) {
      clearTimeout(timer);
      if (pending && isReady(client)) await report();
    },
  };
}

const MAX_KEYS_A_CALL = 256;

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

/**
 * Makes a {@link DeniedCounter}. Refusals counted while the connection is away wait for it; those of a report that
 * failed after it was sent are not sent again, since it may have been carried out.
 */
export function deniedCounter({ client, script, outboxCap, intervalMs }: DeniedCounterOptions): DeniedCounter {
  const counts = new Map<string, number>();

  async function report(): Promise<void> {
    const batches = [...chunks(counts, client.isCluster === true)];
    counts.clear();
    // One after the other: ten thousand blocked subjects at once would keep Redis from decisions for as long as a deadline.
    for (const batch of batches) {
      const keys = batch.map(([key]) => key);
      await script.run(client, keys, [outboxCap, ...batch.map(([, count]) => count)]).catch(() => undefined);
    }
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

/** What a {@link NearLimitReporter} is made of. */
export interface NearLimitReporterOptions {
  readonly client: RedisClient;
  readonly script: RedisScript<number>;
  readonly outboxCap: number;
  /** How long crossings are gathered before they are written. */
  readonly intervalMs: number;
  /** Called with how many crossings found no room. */
  readonly onDropped: (count: number) => void;
}

/** Writes crossings of near-limit thresholds into the outboxes, in bulk and off the path of decisions. */
export interface NearLimitReporter {
  add(key: string, limit: number, remaining: number): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

type Crossing = readonly [key: string, limit: number, remaining: number];

/** Most crossings that wait while Redis is away. */
const MAX_WAITING = 10_000;

/**
 * Makes a {@link NearLimitReporter}. Crossings wait for a connection that is away, as many as there is room for; those of
 * a call that failed after it was sent are not sent again, since it may have been carried out.
 */
export function nearLimitReporter(options: NearLimitReporterOptions): NearLimitReporter {
  const { client, script, outboxCap, intervalMs, onDropped } = options;
  let waiting: Crossing[] = [];

  async function write(batch: readonly Crossing[]): Promise<void> {
    const keys = batch.map(([key]) => key);
    const written = await script.run(client, keys, [
      outboxCap,
      ...batch.flatMap(([, limit, remaining]) => [limit, remaining]),
    ]);
    if (written < batch.length) onDropped(batch.length - written);
  }

  async function report(): Promise<void> {
    const all = waiting;
    waiting = [];
    await Promise.allSettled([...chunks(all, client.isCluster === true)].map(write));
  }

  const timer = reportTimer({ client, everyMs: intervalMs, report });
  return {
    add(key, limit, remaining) {
      if (outboxCap === 0) return;
      if (waiting.length === MAX_WAITING) {
        onDropped(1);
        return;
      }
      waiting.push([key, limit, remaining]);
      timer.arm();
    },
    close: () => timer.close(waiting.length > 0),
  };
}
