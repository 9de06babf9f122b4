import type { RedisClient, RedisScript } from '@spillway/redis';
import { reportTimer } from './report.ts';
import type { DecisionReason } from '../types.ts';

/** What a {@link DecisionCounter} is made of. */
export interface DecisionCounterOptions {
  readonly client: RedisClient;
  readonly script: RedisScript<number>;
  /** A key of the shard whose outbox takes the counts. */
  readonly key: string;
  readonly outboxCap: number;
  /** How long decisions are counted before they are written. */
  readonly everyMs: number;
  /** Told how many counts found no room. */
  readonly onDropped: (count: number) => void;
}

/** Counts decisions by policy and outcome, and writes the sums into an outbox from time to time. */
export interface DecisionCounter {
  add(policy: string, outcome: DecisionReason): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

/**
 * Makes a {@link DecisionCounter}. While the connection is away it goes on counting; the counts of a call that failed
 * after it was sent are not sent again, since it may have been carried out.
 */
export function decisionCounter(options: DecisionCounterOptions): DecisionCounter {
  const { client, script, key, outboxCap, everyMs, onDropped } = options;
  let counts = new Map<string, Map<DecisionReason, number>>();
  let since = performance.now();

  async function report(): Promise<void> {
    const sums = [...counts].flatMap(([policy, outcomes]) =>
      Array.from(outcomes, ([outcome, count]) => [policy, outcome, count] as const),
    );
    const overMs = Math.round(performance.now() - since);
    counts = new Map();
    try {
      const written = await script.run(client, [key], [outboxCap, overMs, ...sums.flat()]);
      if (written < sums.length) onDropped(sums.length - written);
    } catch {
      // Redis went away under the call. The next counts begin anew.
    }
  }

  const timer = reportTimer({ client, everyMs, report });
  return {
    add(policy, outcome) {
      if (counts.size === 0) since = performance.now();
      let outcomes = counts.get(policy);
      if (outcomes === undefined) counts.set(policy, (outcomes = new Map()));
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      timer.arm();
    },
    close: () => timer.close(counts.size > 0),
  };
}
