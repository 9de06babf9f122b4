import { isReady, listenTo, type RedisClient } from './client.ts';
import { faultOf, type RedisFault } from './fault.ts';
import { defineScript } from './script.ts';
import { shardTag } from './shard-of.ts';
import { shards as shardsLua } from './scripts.generated.ts';

/** How many hash-tag shards a deployment has unless it says otherwise. */
export const DEFAULT_SHARDS = 16;

/** The most shards a deployment may have: an event's id has 12 bits for its shard. */
export const MAX_SHARDS = 4096;

/** How often a process says how many shards it has, and how long that holds, in ms. */
const SAY_EVERY_MS = 60_000;
const HOLDS_MS = 180_000;

const sayShards = defineScript(shardsLua, (reply) =>
  Array.isArray(reply) ? reply.map(Number).filter((number) => number > 0) : [],
);

/** What {@link watchShards} needs. */
export interface ShardsWatchOptions {
  readonly client: RedisClient;
  readonly shards: number;
  /** @default none */
  readonly namespace?: string;
  /** Called if other processes have another number, with a fault of code `shards_disagree`. */
  readonly onDisagreement: (fault: RedisFault) => void;
}

/**
 * Publishes in Redis how many shards this process has, and checks whether others have another number: then one subject has
 * two windows, and a worker with fewer shards never reads some events. One script call at the start, one at each connection
 * that becomes ready, and one a minute; nothing while Redis is away.
 * @returns a function that stops it
 */
export function watchShards({ client, shards, namespace = '', onDisagreement }: ShardsWatchOptions): () => void {
  const key = `${shardTag(0, namespace)}:shards`;
  let saying = false;

  async function say(): Promise<void> {
    if (saying || !isReady(client)) return;
    saying = true;
    try {
      const others = (await sayShards.run(client, [key], [shards, HOLDS_MS])).filter((number) => number !== shards);
      if (others.length > 0)
        onDisagreement(faultOf('shards_disagree', `${shards} here, ${others.join(', ')} elsewhere`));
    } catch {
      // Redis is away; the next time asks again.
    } finally {
      saying = false;
    }
  }

  const onReady = (): void => void say();
  const stop = listenTo(client, 'ready', onReady);
  const timer = setInterval(onReady, SAY_EVERY_MS).unref();
  onReady();
  return () => {
    clearInterval(timer);
    stop();
  };
}
