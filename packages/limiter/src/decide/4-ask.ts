import { type Deadline, faultOf, type RedisClient, redisFault } from '@spillway/redis';
import { LimiterUnavailableError } from '../errors.ts';
import type { LimiterMetrics } from '../metrics/metrics.ts';
import type { Decision } from '../types.ts';
import type { BlockedListener, StoreRequest, Operation } from '../store/store.ts';
import { batcher, byShard } from './5-batch.ts';
import type { Fallback } from './fallback.ts';
import type { LimiterScripts } from './scripts.ts';
import type { Algorithm } from '../algorithms/registry.ts';
import {
  type SingleItem,
  singleProtocol,
  type SingleProtocolOptions,
  type GroupItem,
  groupProtocol,
} from './6-protocol.ts';
import { unavailableDecision, withheldUnasked, withheld } from '../decision.ts';

/** What {@link decisions} are made with. */
export interface DecisionsOptions {
  readonly client: RedisClient;
  readonly deadlineMs: number;
  readonly outboxCap: number;
  readonly scripts: LimiterScripts;
  /** The time limit of work on a key. */
  readonly within: (key: string) => Deadline;
  /** Answers what Redis doesn't. */
  readonly fallback: Fallback;
  /** Redis decided a batch. */
  readonly onAnswer: () => void;
  readonly onRefusedWhileBlocked: BlockedListener;
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

type TakesSingle = (item: SingleItem) => void;

/** What takes a single request, by its algorithm; those without scripts for it are decided as groups. */
function singles(options: DecisionsOptions & SingleProtocolOptions): ReadonlyMap<Algorithm, TakesSingle> {
  const takers = [...options.scripts.single].map(([algorithm, scripts]): [Algorithm, TakesSingle] => [
    algorithm,
    batcher({ ...options, protocol: singleProtocol(scripts, options) }),
  ]);
  return new Map(takers);
}

/** Sends single requests by the scripts of their algorithm, and all else by group.lua. */
export function decisions(options: DecisionsOptions): Decisions {
  const { client, deadlineMs, scripts, within, fallback, metrics, onAnswer } = options;
  const onDropped = (count: number): void => metrics?.dropped?.(count);
  const { spareMs } = scripts;
  const takeSingle = singles({ ...options, spareMs, onDropped, decideGenerally });
  const takeGroup: (item: GroupItem) => void = batcher({
    client,
    within,
    metrics,
    onAnswer,
    protocol: groupProtocol({
      ...options,
      spareMs,
      onDropped,
      script: scripts.group,
      resend: (item) => takeGroup(item),
    }),
  });

  /** @throws {RedisFault} */
  function decideGroup(requests: readonly StoreRequest[], operation: Operation): Promise<readonly Decision[]> {
    return new Promise((resolve, reject) => {
      takeGroup({ requests, operation, resolve, reject });
    });
  }

  async function decideGenerally(request: StoreRequest, operation: 'consume' | 'peek'): Promise<Decision> {
    try {
      return only(await decideGroup([request], operation));
    } catch (error) {
      return fallback.decide(request, operation === 'peek', redisFault(error));
    }
  }

  return {
    decide(request, operation) {
      fallback.prepare(request.policy);
      const take = takeSingle.get(request.policy.algorithm);
      if (take === undefined) return decideGenerally(request, operation);
      return new Promise((resolve) => {
        take({ request, operation, resolve });
      });
    },
    async decideTogether(requests) {
      for (const { policy } of requests) fallback.prepare(policy);
      try {
        return await decideGroup(requests, 'consume');
      } catch (error) {
        return fallback.decideTogether(requests, redisFault(error));
      }
    },
    async change(request, operation) {
      try {
        return only(await decideGroup([request], operation));
      } catch (error) {
        throw new LimiterUnavailableError(operation, deadlineMs, redisFault(error));
      }
    },
  };
}

function only([decision]: readonly Decision[]): Decision {
  if (decision === undefined) throw faultOf('client_error');
  return decision;
}

/** What {@link acrossShards} is built on. */
export interface ShardOperations {
  /** Decides requests of one shard together. */
  readonly consumeTogether: (requests: readonly StoreRequest[]) => Promise<readonly Decision[]>;
  readonly reward: (request: StoreRequest) => Promise<Decision>;
}

/**
 * `consumeAll` in a Redis Cluster, where no script can touch two shards. Requests of one shard (one subject, any
 * policies) are decided together and atomically. Those of several shards are charged a shard after the other; at the
 * first refusal what was charged is given back. Between the two another request can find the units taken: it may be
 * refused although it would have fit a moment later; no limit is ever exceeded. When the refund can't be made, the
 * units stay charged until they leave their window.
 */
export function acrossShards({ consumeTogether, reward }: ShardOperations): ShardOperations['consumeTogether'] {
  return async (requests) => {
    const shards = byShard(requests, ({ key }) => key);
    if (shards.length === 1) return consumeTogether(requests);
    const answers = new Map<StoreRequest, Decision>();
    const charged: StoreRequest[] = [];
    let refused = false;
    for (const members of shards) {
      if (refused) break;
      const fallen = await consumeTogether(members);
      members.forEach((request, index) => {
        const decision = fallen[index] ?? unavailableDecision(request.policy, 'client_error');
        answers.set(request, decision);
        if (decision.reason === 'allowed') charged.push(request);
        refused ||= !decision.allowed;
      });
    }
    if (refused) await giveBack(charged, answers, reward);
    return requests.map((request) => answers.get(request) ?? withheldUnasked(request.policy));
  };
}

async function giveBack(
  charged: readonly StoreRequest[],
  answers: Map<StoreRequest, Decision>,
  reward: ShardOperations['reward'],
): Promise<void> {
  await Promise.allSettled(
    charged.map(async (request) => {
      const decision = answers.get(request) ?? withheldUnasked(request.policy);
      answers.set(request, withheld(decision));
      answers.set(request, withheld(await reward(request)));
    }),
  );
}
