import { outboxKeys, type RedisClient, shardOf } from '@spillway/redis';
import { LimiterInputError, shown } from '../errors.ts';
import type { LimiterMetrics } from '../metrics/metrics.ts';
import { limiterScripts } from '../decide/scripts.ts';
import { type DecisionCounter, decisionCounter } from './decision-counter.ts';
import { wholeNumberWithin } from '../checks.ts';

/** How to count decisions for dashboards. */
export interface RecordDecisionsOptions {
  /** How often the sums are written, in ms, from 1,000 to an hour. @default 10_000 */
  readonly everyMs?: number;
}

/** What {@link countingMetrics} needs. */
export interface CountingOptions {
  readonly setting: boolean | RecordDecisionsOptions | undefined;
  readonly client: RedisClient | undefined;
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
  shards,
  namespace,
  outboxCap,
  metrics,
}: CountingOptions): CountingMetrics {
  const options = settingOf(setting);
  if (options === undefined) return { metrics, counter: undefined };
  if (client === undefined) throw new LimiterInputError('recordDecisions', 'needs redis: other stores have no trail');
  if (outboxCap === 0)
    throw new LimiterInputError('recordDecisions', 'needs the trail: it can not be used with trail: false');
  const { everyMs = 10_000 } = options;
  wholeNumberWithin('recordDecisions.everyMs', everyMs, 1_000, 3_600_000);
  const told = metrics ?? NO_METRICS;
  const counter = decisionCounter({
    client,
    script: limiterScripts.decisionCounts,
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
