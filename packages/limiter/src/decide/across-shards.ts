import { unavailableDecision, withheld, withheldUnasked } from '../decision.ts';
import type { StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';
import { byShard } from './4-batch.ts';

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
