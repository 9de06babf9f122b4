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
function* chunks<Entry extends readonly [key: string, ...rest: unknown[]]>(
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

/**
 * Says it of one batch after the other: of ten thousand blocked subjects at once it would keep Redis from decisions for as long as
 * a deadline. A batch that failed after it was sent is not sent again, since it may have been carried out.
 * @returns what there was no connection for
 */
async function sendInTurn<Entry extends readonly [key: string, ...rest: unknown[]]>(
  client: RedisClient,
  entries: readonly Entry[],
  send: (batch: readonly Entry[]) => Promise<unknown>,
): Promise<readonly Entry[]> {
  const left: Entry[] = [];
  for (const batch of chunks(entries, client.isCluster === true)) {
    if (isReady(client)) await send(batch).catch(() => undefined);
    else left.push(...batch);
  }
  return left;
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

/** Makes a {@link DeniedCounter}. Refusals that are counted while the connection is away wait for it. */
export function deniedCounter({ client, script, outboxCap, intervalMs }: DeniedCounterOptions): DeniedCounter {
  const counts = new Map<string, number>();
  let closed = false;

  async function report(): Promise<void> {
    const counted = [...counts];
    counts.clear();
    const left = await sendInTurn(client, counted, async (batch) =>
      script.run(
        client,
        batch.map(([key]) => key),
        [outboxCap, ...batch.map(([, count]) => count)],
      ),
    );
    for (const [key, count] of left) add(key, count);
  }

  const timer = reportTimer({ client, everyMs: intervalMs, report });

  function add(key: string, count = 1): void {
    if (outboxCap === 0) return;
    counts.set(key, (counts.get(key) ?? 0) + count);
    if (!closed) timer.arm();
  }

  return {
    add,
    close() {
      closed = true;
      return timer.close(counts.size > 0);
    },
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

/** Makes a {@link NearLimitReporter}. Crossings wait for a connection that is away, as many as there is room for. */
export function nearLimitReporter(options: NearLimitReporterOptions): NearLimitReporter {
  const { client, script, outboxCap, intervalMs, onDropped } = options;
  let waiting: Crossing[] = [];
  let closed = false;

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
    for (const crossing of await sendInTurn(client, all, write)) keep(crossing);
  }

  const timer = reportTimer({ client, everyMs: intervalMs, report });

  function keep(crossing: Crossing): void {
    if (waiting.length === MAX_WAITING) {
      onDropped(1);
      return;
    }
    waiting.push(crossing);
    if (!closed) timer.arm();
  }

  return {
    add(key, limit, remaining) {
      if (outboxCap > 0) keep([key, limit, remaining]);
    },
    close() {
      closed = true;
      return timer.close(waiting.length > 0);
    },
  };
}
