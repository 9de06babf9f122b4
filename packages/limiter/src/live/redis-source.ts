import { deadlines, defineScript, instances, instancesKey, type RedisClient, shardTag } from '@spillway/redis';
import { LimiterUnavailableError } from '../errors.ts';
import { liveEntries } from '../scripts.generated.ts';
import { type Bus, liveChannelOf } from './bus.ts';
import { MAX_ENTRIES } from './memory-source.ts';
import type { EntryWrite, LiveSource } from './source.ts';

/** What {@link redisLiveSource} needs. */
export interface RedisSourceOptions {
  readonly client: RedisClient;
  readonly bus: Bus;
  readonly namespace: string;
  readonly deadlineMs: number;
  /** Most events that may wait in the shard's outbox. */
  readonly outboxCap: number;
  /** Counts among the limiters that take changes over. Who only makes changes does not. */
  readonly listens: boolean;
}

/** The hash of the live entries; its shard's outbox takes the events of their changes. */
export function liveKeyIn(namespace = ''): string {
  return `${shardTag(0, namespace)}:live-entries`;
}

/** What the limiters that listen are counted as, and for how long after their last beat, in ms. */
const LISTENERS = 'live-policies';
const LISTENS_MS = 6_000;

const FULL = -1;

const script = defineScript(liveEntries, (reply): readonly unknown[] => (Array.isArray(reply) ? reply : []));

/** Live entries in one hash of Redis, so that writing one and moving the version on is one step in a Cluster too. */
export function redisLiveSource(options: RedisSourceOptions): LiveSource {
  const { client, bus, namespace, deadlineMs, outboxCap, listens } = options;
  const liveKey = liveKeyIn(namespace);
  const within = deadlines(client, deadlineMs)(liveKey);
  const keys = [liveKey, `${liveKey}:ends`, instancesKey(LISTENERS, namespace)];
  const listening = listens ? instances({ client, name: LISTENERS, ttlMs: LISTENS_MS, namespace }) : undefined;

  function run(args: readonly (string | number)[]): Promise<readonly unknown[]> {
    return new Promise((resolve, reject) => {
      const failed = (fault: LimiterUnavailableError['cause']): void =>
        reject(new LimiterUnavailableError('live policies', deadlineMs, fault));
      within.run(() => script.run(client, keys, args), resolve, failed);
    });
  }

  return {
    async load() {
      const askedAt = performance.now();
      const [now, ...flat] = await run(['read']);
      return { fields: pairs(flat), nowMs: Number(now), askedAt };
    },
    async write({ field, value, action, objectKind, object, instead = '' }, { actor, why }) {
      const channel = liveChannelOf(client, liveKey, namespace);
      const where = [MAX_ENTRIES, outboxCap, channel, LISTENS_MS, listening?.id ?? '', field];
      const change = [actor, why, action, objectKind, object, instead];
      const [was, others, stored] = await run([operationOf(value), ...where, argumentOf(value), ...change]);
      if (was === FULL) return 'full';
      return { existed: was === 1, otherLimiters: Number(others), value: String(stored) };
    },
    listen(onVersion) {
      bus.listen({ onVersion });
      bus.start();
    },
    async close() {
      bus.close();
      await listening?.close();
    },
  };
}

function operationOf(value: EntryWrite['value']): 'remove' | 'set' | 'block' {
  if (value === undefined) return 'remove';
  return typeof value === 'string' ? 'set' : 'block';
}

function argumentOf(value: EntryWrite['value'] = ''): string | number {
  if (typeof value === 'string') return value;
  return value.blockMs === Infinity ? 0 : value.blockMs;
}

function pairs(flat: readonly unknown[]): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) map.set(String(flat[index]), String(flat[index + 1]));
  return map;
}
