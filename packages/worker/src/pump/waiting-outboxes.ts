import { call, outboxKeys, type RedisClient } from '@spillway/redis';
import type { Redis } from 'ioredis';
import type { WorkerLogger } from '../logger.ts';
import { isReplyError, TimeoutError, withTimeout } from '../timing.ts';

/** How long one command waits in Redis for an event, and how much longer its answer may take, in ms. */
const WAIT_MS = 5_000;
const ANSWER_MS = 5_000;

/** Which outboxes to look at. */
export interface WaitingOutboxesOptions {
  /** Never waits in Redis, so any number of lanes share it. */
  readonly redis: RedisClient;
  /** In Redis Cluster a single one: a read of several streams must stay in one slot. */
  readonly shards: readonly number[];
  /** As the limiters have it. @default none */
  readonly namespace?: string;
  /** Waits in Redis for events: used by nothing else, and not in Redis Cluster. @default none, and {@link WaitingOutboxes.wait} looks */
  readonly waiter?: Redis | undefined;
  readonly logger: WorkerLogger;
}

/** Finds the outboxes that hold events, and takes nothing. */
export class WaitingOutboxes {
  readonly #options: WaitingOutboxesOptions;
  readonly #shardOf: ReadonlyMap<string, number>;
  #someRefuse = false;

  constructor(options: WaitingOutboxesOptions) {
    this.#options = options;
    this.#shardOf = new Map(options.shards.map((shard) => [outboxKeys(shard, options.namespace).stream, shard]));
  }

  /** Whether {@link wait} waits. A command that waits for several outboxes is refused when one of them is. */
  get canWait(): boolean {
    return this.#options.waiter !== undefined && !this.#someRefuse;
  }

  /**
   * Those that hold events now. An outbox whose key Redis refuses to read (it holds another type) is logged and left out.
   * @throws what Redis answers if it refuses all of them
   */
  async look(): Promise<ReadonlySet<number>> {
    const streams = [...this.#shardOf.keys()];
    try {
      const found = await this.#read(this.#options.redis, streams, []);
      this.#someRefuse = false;
      return found;
    } catch (error) {
      if (!isReplyError(error) || streams.length === 1) throw error;
      return this.#lookAtEach(streams);
    }
  }

  async #lookAtEach(streams: readonly string[]): Promise<ReadonlySet<number>> {
    const { redis, logger } = this.#options;
    const looks = await Promise.allSettled(streams.map(async (stream) => this.#read(redis, [stream], [])));
    const refused = looks.flatMap((look, index) =>
      look.status === 'rejected' ? [{ shard: this.#shardOf.get(streams[index] ?? ''), err: look.reason }] : [],
    );
    if (refused.length === streams.length) throw refused[0]?.err;
    this.#someRefuse = refused.length > 0;
    for (const facts of refused) logger.error(facts, 'pump: an outbox can not be read, the others go on');
    const found = looks.map((look) => (look.status === 'fulfilled' ? look.value : new Set<number>()));
    return new Set(found.flatMap((shards) => Array.from(shards)));
  }

  /**
   * Those that hold events as soon as one does; none after 5 seconds, when `stop` was aborted and the waiting connection closed, or
   * when there is no answer.
   */
  async wait(stop: AbortSignal): Promise<ReadonlySet<number>> {
    const { waiter } = this.#options;
    if (waiter === undefined) return this.look();
    try {
      const streams = [...this.#shardOf.keys()];
      return await withTimeout(WAIT_MS + ANSWER_MS, this.#read(waiter, streams, ['BLOCK', WAIT_MS]));
    } catch (error) {
      if (isReplyError(error)) return this.look();
      if (error instanceof TimeoutError) waiter.disconnect(true);
      else if (!stop.aborted) throw error;
      return new Set();
    }
  }

  /** From the beginning: what is in an outbox is not stored yet. One entry of each tells as much as all. */
  async #read(
    redis: RedisClient,
    streams: readonly string[],
    block: readonly (string | number)[],
  ): Promise<ReadonlySet<number>> {
    const args = [...block, 'COUNT', 1, 'STREAMS', ...streams, ...streams.map(() => '0')];
    const keys = decodeKeys(await call(redis, 'XREAD', args, streams[0]));
    return new Set(keys.flatMap((key) => this.#shardOf.get(key) ?? []));
  }
}

/**
 * The keys in a reply of XREAD: nothing, a list of pairs (RESP2), or keys and entries in turn (a RESP3 map that the client
 * flattened).
 */
export function decodeKeys(reply: unknown): readonly string[] {
  const parts: readonly unknown[] = Array.isArray(reply) ? reply : [];
  const keys = Array.isArray(parts[0])
    ? parts.map((pair) => (Array.isArray(pair) ? pair[0] : pair))
    : parts.filter((_, index) => index % 2 === 0);
  return keys.map(String);
}
