import { call, defineScript, type RedisClient, deadlines } from '@spillway/redis';
import { LimiterUnavailableError } from '../errors.ts';
import { liveEntries } from '../scripts.generated.ts';
import { type Bus, liveChannelOf } from './bus.ts';
import { MAX_ENTRIES } from './memory-source.ts';
import type { LiveSource } from './source.ts';

const FULL = -1;

const writeEntry = defineScript(liveEntries, Number);

/** Live entries in one hash of Redis, so that writing one and moving the version on is one step in a Cluster too. */
export function redisLiveSource(client: RedisClient, bus: Bus, key: string, deadlineMs: number): LiveSource {
  const within = deadlines(client, deadlineMs)(key);

  function bounded<Reply>(operation: string, work: () => Promise<Reply>): Promise<Reply> {
    return new Promise((resolve, reject) => {
      within.run(work, resolve, (fault) => reject(new LimiterUnavailableError(operation, deadlineMs, fault)));
    });
  }

  return {
    load: async () => pairs(await bounded('live policies', () => call(client, 'HGETALL', [key]))),
    async write(field, value = '') {
      const was = await bounded('live policies', () =>
        writeEntry.run(client, [key], [MAX_ENTRIES, field, value, liveChannelOf(client, key)]),
      );
      return was === FULL ? 'full' : was === 1;
    },
    listen(onVersion) {
      bus.listen({ onVersion });
      bus.start();
    },
    close: () => bus.close(),
  };
}

function pairs(reply: unknown): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  const flat: readonly unknown[] = Array.isArray(reply) ? reply : [];
  for (let index = 0; index + 1 < flat.length; index += 2) map.set(String(flat[index]), String(flat[index + 1]));
  return map;
}
