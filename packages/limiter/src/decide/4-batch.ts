import { type Deadline, type RedisClient, type RedisFault, redisFault } from '@spillway/redis';
import { unavailableDecision, withheld, withheldWithoutStore } from '../decision.ts';
import type { LimiterMetrics } from '../metrics.ts';
import type { StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';

/*
 * Micro-batching. Requests that are asked for in one turn of the event loop wait for its end (setImmediate runs after
 * all sockets of the turn were read) and travel together. When nothing is under way and the last one went alone too, a
 * request doesn't wait for others, only for those of the same callback. Without the second condition the first request of
 * each turn would go alone and the others after it: over HTTP every other call of the script carried one request.
 *
 * A batch is cut at MAX_BATCH: with two in flight Redis works on one while this process reads the other, which gave 600k
 * decisions/s where one batch of 256 gave 450k (ADR 2). A full one doesn't wait for the end of the turn, so that Redis
 * starts while this process still collects the next (ADR 20); in a Cluster the shards part it first.
 */
const MAX_BATCH = 64;

/** How items travel: what they are sent as, and what their answer means. */
export interface Protocol<Item, Reply> {
  /** A key of the item: in a Cluster only items of one hash tag travel together. */
  readonly keyOf: (item: Item) => string;
  /** `readOnly`: to be answered without writing. */
  readonly send: (batch: readonly Item[], readOnly: boolean) => Promise<Reply>;
  /** `askedAtMs`: when the batch was put together, by the monotonic clock. */
  readonly settle: (batch: readonly Item[], reply: Reply, readOnly: boolean, askedAtMs: number) => void;
  /** Redis did not decide. */
  readonly fail: (batch: readonly Item[], fault: RedisFault) => void;
}

/** What a {@link batcher} is made of. */
export interface BatcherOptions<Item, Reply> {
  readonly client: RedisClient;
  /** The time limit of work on a key. */
  readonly within: (key: string) => Deadline;
  readonly protocol: Protocol<Item, Reply>;
  readonly metrics?: LimiterMetrics | undefined;
  /** Redis decided a batch. @default none */
  readonly onAnswer?: (() => void) | undefined;
  /** When the requests that travel now began, by `performance.now()`: their deadline counts from there. @default now */
  readonly startedAt?: (() => number) | undefined;
}

const now = (): number => performance.now();

/** Collects items and sends them a script call a batch: returns what takes an item. */
export function batcher<Item, Reply>(options: BatcherOptions<Item, Reply>): (item: Item) => void {
  const { client, protocol, startedAt: begun = now } = options;
  const { send, isIdle } = sender(options);
  const clustered = client.isCluster === true;
  let pending: Item[] = [];
  let flushComes = false;
  let sentFull = false;
  let hadCompany = false;

  function flush(): void {
    const all = pending;
    pending = [];
    flushComes = false;
    hadCompany = sentFull || all.length > 1;
    sentFull = false;
    const startedAt = begun();
    if (all.length === 1) {
      send(all, startedAt);
      return;
    }
    for (const group of clustered ? byShard(all, protocol.keyOf) : [all]) {
      for (let start = 0; start < group.length; start += MAX_BATCH) {
        send(group.slice(start, start + MAX_BATCH), startedAt);
      }
    }
  }

  function sendFull(): void {
    const full = pending;
    pending = [];
    sentFull = true;
    send(full, begun());
  }

  return (item) => {
    if (!flushComes) {
      flushComes = true;
      if (isIdle() && !hadCompany) process.nextTick(flush);
      else setImmediate(flush);
    }
    pending.push(item);
    if (pending.length === MAX_BATCH && !clustered) sendFull();
  };
}

interface Sender<Item> {
  send(batch: readonly Item[], startedAt: number, readOnly?: boolean): void;
  /** True when nothing is under way. */
  isIdle(): boolean;
}

function sender<Item, Reply>({ within, protocol, metrics, onAnswer }: BatcherOptions<Item, Reply>): Sender<Item> {
  let underWay = 0;

  /*
   * A batch is sent a second time only where Redis certainly did nothing the first time. Keys that a migrating slot keeps
   * apart go one by one. Without memory to write (Redis looks at its memory once, as a script begins, and refuses the
   * first write that needs more), the batch is read: a subject over the limit is refused as usual, and
   * only who would have been admitted can't be charged and is left to the fallback.
   */
  function send(batch: readonly Item[], startedAt: number, readOnly = false): void {
    const [first] = batch;
    if (first === undefined) return;
    underWay += 1;
    within(protocol.keyOf(first)).run(
      () => protocol.send(batch, readOnly),
      (reply) => {
        underWay -= 1;
        metrics?.batch?.({ size: batch.length, durationMs: performance.now() - startedAt });
        if (!readOnly) onAnswer?.();
        try {
          protocol.settle(batch, reply, readOnly, startedAt);
        } catch (error) {
          // A reply of the wrong length. What was settled before stays.
          protocol.fail(batch, redisFault(error));
        }
      },
      (fault, _wasSent, error) => {
        underWay -= 1;
        if (!readOnly && fault.code === 'out_of_memory') send(batch, startedAt, true);
        else if (batch.length > 1 && isSplitByMigration(error)) {
          for (const one of batch) send([one], startedAt, readOnly);
        } else protocol.fail(batch, fault);
      },
      startedAt,
    );
  }

  return { send, isIdle: () => underWay === 0 };
}

/** Items by the hash tag of their key. */
function byShard<Item>(all: readonly Item[], keyOf: (item: Item) => string): Item[][] {
  const groups = new Map<string, Item[]>();
  for (const one of all) {
    const tag = hashTag(keyOf(one));
    const group = groups.get(tag);
    if (group === undefined) groups.set(tag, [one]);
    else group.push(one);
  }
  return [...groups.values()];
}

// The part of a key that decides which node of a Cluster has it.
function hashTag(key: string): string {
  return key.slice(0, key.indexOf('}'));
}

/**
 * True when a slot is on its way to another master and the keys of the call lie on both sides: Redis refused the call
 * before it ran. Each key alone has a side, so the requests succeed one by one. The client follows such errors from node to
 * node for a while, and then gives up with an error of its own that quotes the last.
 */
function isSplitByMigration(error: unknown): boolean {
  return (
    error instanceof Error &&
    /^(?:TRYAGAIN |Too many Cluster redirections\..*ReplyError: (?:TRYAGAIN|ASK|MOVED) )/.test(error.message)
  );
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
    return requests.map((request) => answers.get(request) ?? withheldWithoutStore(request.policy));
  };
}

async function giveBack(
  charged: readonly StoreRequest[],
  answers: Map<StoreRequest, Decision>,
  reward: ShardOperations['reward'],
): Promise<void> {
  await Promise.allSettled(
    charged.map(async (request) => {
      const decision = answers.get(request) ?? withheldWithoutStore(request.policy);
      answers.set(request, withheld(decision));
      // What this process decided in Redis' place was not charged there: to give it back would free another's units.
      if (decision.source !== undefined && request.slot === undefined) return;
      answers.set(request, withheld(await reward(request)));
    }),
  );
}
