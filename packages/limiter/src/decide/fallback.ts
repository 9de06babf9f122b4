import {
  type FaultReporter,
  joinFleet,
  type FleetMembership,
  outageReporter,
  type RedisClient,
  type RedisFault,
} from '@spillway/redis';
import type { StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';
import { type LocalDecisions, localDecisions } from './local-decisions.ts';

/** Name of the limiters' heartbeats, and of their gaps in the trail. */
const INSTANCES = 'limiter';
const OUTAGE = 'limiter_outage';

/** What a {@link Fallback} is made of. */
export interface FallbackOptions {
  readonly client: RedisClient;
  readonly outboxCap: number;
  /** @default none */
  readonly namespace?: string;
  /** Called for each decision without Redis. */
  readonly faults: Pick<FaultReporter, 'failed'>;
  /** Local windows kept at most; the least used goes first. @default 100_000 */
  readonly maxWindows?: number;
  /** How long after its last heartbeat an instance counts as alive, in ms. @default 6_000 */
  readonly instanceTtlMs?: number;
  /** How often an outage that is over is tried to be reported, in ms. @default 1_000 */
  readonly reportIntervalMs?: number;
  /** The refusal of a request whose block is known although Redis is away. @default no block is known */
  readonly knownBlock?: ((request: StoreRequest) => Decision | undefined) | undefined;
}

/** Answers for Redis while it is away, and keeps count of it. */
export interface Fallback extends LocalDecisions<RedisFault> {
  /** Begins to count how many instances share the limit of a `local` policy; to be called before Redis is away. */
  countInstances(): void;
  close(): Promise<void>;
}

/** Makes a {@link Fallback}: its share is by the number of live instances as last counted, and its decisions are told to the trail. */
export function fallback(options: FallbackOptions): Fallback {
  const { client, outboxCap, namespace = '', faults, maxWindows = 100_000 } = options;
  const { instanceTtlMs = 6_000, reportIntervalMs: intervalMs = 1_000 } = options;
  const place = { client, outboxCap, namespace };
  const reporter = outageReporter({ ...place, kind: OUTAGE, instance: crypto.randomUUID(), intervalMs });
  let others: FleetMembership | undefined;
  const decisions = localDecisions<RedisFault>({
    instances: () => others?.live ?? 1,
    onFailed: (fault) => faults.failed(fault),
    onDecided: ({ onUnavailable }, { allowed }) =>
      reporter.count(`${onUnavailable}_${allowed ? 'admitted' : 'refused'}`),
    maxWindows,
    knownBlock: options.knownBlock ?? (() => undefined),
  });
  return {
    ...decisions,
    countInstances() {
      others ??= joinFleet({ client, name: INSTANCES, ttlMs: instanceTtlMs, namespace });
    },
    async close() {
      await Promise.all([reporter.close(), others?.close()]);
    },
  };
}
