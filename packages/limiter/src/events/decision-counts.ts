import { outboxKeys, type RedisClient, type RedisScript, shardOf } from '@spillway/redis';
import { wholeNumberWithin } from '../checks.ts';
import { LimiterInputError, shown } from '../errors.ts';
import type { LimiterMetrics } from '../metrics.ts';
import type { DecisionReason } from '../types.ts';
import { reportTimer } from './reports.ts';

/** What a {@link DecisionCounter} is made of. */
export interface DecisionCounterOptions {
  readonly client: RedisClient;
  readonly script: RedisScript<number>;
  /** A key of the shard whose outbox takes the counts. */
  readonly key: string;
  readonly outboxCap: number;
  /** How long decisions are counted before they are written. */
  readonly everyMs: number;
  /** Called with how many counts found no room. */
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
function decisionCounter(options: DecisionCounterOptions): DecisionCounter {
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
      // Redis went away under the call. The next counts begin at zero.
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

/** How to count decisions for dashboards. */
export interface RecordDecisionsOptions {
  /** How often the sums are written, in ms, from 1,000 to an hour. @default 10_000 */
  readonly everyMs?: number;
}

/** What {@link countingMetrics} needs. */
export interface CountingOptions {
  readonly setting: boolean | RecordDecisionsOptions | undefined;
  readonly client: RedisClient | undefined;
  readonly script: RedisScript<number>;
  readonly shards: number;
  readonly namespace: string;
  readonly outboxCap: number;
  readonly metrics: Required<LimiterMetrics> | undefined;
}

/** Metrics that count decisions beside what they did before, and the counter that is to be closed. */
export interface CountingMetrics {
  readonly metrics: Required<LimiterMetrics> | undefined;
  readonly counter: Pick<DecisionCounter, 'close'> | undefined;
}

const nothing = (): void => undefined;
const NO_METRICS: Required<LimiterMetrics> = {
  decision: nothing,
  nearLimit: nothing,
  batch: nothing,
  cacheHit: nothing,
  fallback: nothing,
  dropped: nothing,
};

/**
 * Puts a counter in front of a limiter's metrics when its setting asks for one. Each process has a shard of its own
 * choice for the sums, so that many processes fill all outboxes alike.
 * @throws {LimiterInputError} naming `recordDecisions`.
 */
export function countingMetrics({
  setting,
  client,
  script,
  shards,
  namespace,
  outboxCap,
  metrics,
}: CountingOptions): CountingMetrics {
  const options = settingOf(setting);
  if (options === undefined) return { metrics, counter: undefined };
  if (client === undefined) throw new LimiterInputError('recordDecisions', 'needs redis: other stores have no trail');
  if (outboxCap === 0)
    throw new LimiterInputError('recordDecisions', 'needs the trail: it cannot be used with trail: false');
  const { everyMs = 10_000 } = options;
  wholeNumberWithin('recordDecisions.everyMs', everyMs, 1_000, 3_600_000);
  const told = metrics ?? NO_METRICS;
  const counter = decisionCounter({
    client,
    script,
    key: outboxKeys(shardOf(crypto.randomUUID(), shards), namespace).stream,
    outboxCap,
    everyMs,
    onDropped: told.dropped,
  });
  const decision: Required<LimiterMetrics>['decision'] = (fallen) => {
    counter.add(fallen.policy, fallen.outcome);
    told.decision(fallen);
  };
  return { metrics: { ...told, decision }, counter };
}

function settingOf(setting: unknown): RecordDecisionsOptions | undefined {
  if (setting === undefined || setting === false) return undefined;
  if (setting === true) return {};
  if (typeof setting === 'object' && setting !== null) return setting;
  throw new LimiterInputError('recordDecisions', `must be true, false or options, not ${shown(setting)}`);
}
