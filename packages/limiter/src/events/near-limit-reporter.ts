import type { RedisClient, RedisScript } from '@spillway/redis';
import { chunks } from './denied-counter.ts';
import { reportTimer } from './report.ts';

/** What a {@link NearLimitReporter} is made of. */
export interface NearLimitReporterOptions {
  readonly client: RedisClient;
  readonly script: RedisScript<number>;
  readonly outboxCap: number;
  /** How long crossings are gathered before they are written. */
  readonly intervalMs: number;
  /** Told how many crossings found no room. */
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
