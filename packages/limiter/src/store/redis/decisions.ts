import type { RedisClient } from '@spillway/redis';
import { unavailableDecision } from '../../decision.ts';
import { LimiterUnavailableError } from '../../errors.ts';
import type { LimiterMetrics } from '../../metrics/metrics.ts';
import type { Decision } from '../../types.ts';
import type { Operation } from '../operation.ts';
import type { StoreRequest } from '../store.ts';
import { batcher } from './batcher.ts';
import { type GroupItem, groupProtocol } from './group-protocol.ts';
import { logItem, logProtocol } from './log-protocol.ts';
import type { LimiterScripts } from './scripts.ts';

/** What {@link decisions} are made with. */
export interface DecisionsOptions {
  readonly client: RedisClient;
  readonly deadlineMs: number;
  readonly outboxCap: number;
  readonly scripts: LimiterScripts;
  readonly onRefusedWhileBlocked: (key: string) => void;
  readonly metrics?: LimiterMetrics | undefined;
}

/** What can be asked of Redis about requests. */
export interface Decisions {
  decide(request: StoreRequest, operation: 'consume' | 'peek'): Promise<Decision>;
  /** Requests that one script call can decide. */
  decideTogether(requests: readonly StoreRequest[]): Promise<readonly Decision[]>;
  /** @throws LimiterUnavailableError */
  change(request: StoreRequest, operation: Operation): Promise<Decision>;
}

/** Sends single requests under a sliding log by the fast path, and all else by the general one. */
export function decisions(options: DecisionsOptions): Decisions {
  const { client, deadlineMs, scripts, metrics } = options;
  const onDropped = (count: number): void => metrics?.dropped?.(count);
  const takeLog = batcher(
    client,
    deadlineMs,
    logProtocol({ ...options, onDropped, script: scripts.decideLog }),
    metrics,
  );
  const takeGroup: (item: GroupItem) => void = batcher(
    client,
    deadlineMs,
    groupProtocol({ ...options, onDropped, script: scripts.decide, resend: (item) => takeGroup(item) }),
    metrics,
  );

  /** Rejects with whatever the client rejects with, or undefined when time is up. */
  function decideGroup(requests: readonly StoreRequest[], operation: Operation): Promise<readonly Decision[]> {
    return new Promise((resolve, reject) => {
      takeGroup({ requests, operation, resolve, reject });
    });
  }

  async function orUnavailable(requests: readonly StoreRequest[], operation: Operation): Promise<readonly Decision[]> {
    try {
      return await decideGroup(requests, operation);
    } catch {
      return requests.map(({ policy }) => unavailableDecision(policy));
    }
  }

  async function decideSingle(request: StoreRequest, operation: Operation): Promise<Decision> {
    const [decision] = await orUnavailable([request], operation);
    return decision ?? unavailableDecision(request.policy);
  }

  return {
    decide(request, operation) {
      if (request.policy.algorithm !== 'sliding-log') return decideSingle(request, operation);
      return new Promise((resolve) => {
        takeLog(logItem(request, operation === 'peek', resolve));
      });
    },
    decideTogether: (requests) => orUnavailable(requests, 'consume'),
    async change(request, operation) {
      try {
        const [decision] = await decideGroup([request], operation);
        if (decision !== undefined) return decision;
      } catch (cause) {
        throw new LimiterUnavailableError(operation, deadlineMs, cause);
      }
      throw new LimiterUnavailableError(operation, deadlineMs);
    },
  };
}
