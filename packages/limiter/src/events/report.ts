import type { RedisClient } from '@spillway/redis';

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
      if (client.status === 'ready') void report();
      else arm();
    }, everyMs).unref();
  }

  return {
    arm,
    async close(pending) {
      clearTimeout(timer);
      if (pending && client.status === 'ready') await report();
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
