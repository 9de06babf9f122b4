import { defineScript, luaFiles, type RedisClient, type RedisScript } from '@spillway/redis';
import { LimiterUnavailableError } from '../errors.ts';
import { deadlines } from '../store/redis/deadline.ts';
import type { Bus } from './bus.ts';
import { MAX_ENTRIES } from './memory-source.ts';
import type { LiveSource } from './source.ts';

const FULL = -1;

/** Live entries in one hash of Redis, so that writing one and moving the version on is one step in a Cluster too. */
export function redisLiveSource(client: RedisClient, bus: Bus, key: string, deadlineMs: number): LiveSource {
  const within = deadlines(client, deadlineMs)(key);
  const script = writeScript();

  function bounded<Reply>(operation: string, work: () => Promise<Reply>): Promise<Reply> {
    return new Promise((resolve, reject) => {
      within.run(work, resolve, (cause) => reject(new LimiterUnavailableError(operation, deadlineMs, cause)));
    });
  }

  return {
    load: async () => pairs(await bounded('live policies', () => client.callBuffer('HGETALL', [key]))),
    async write(field, value = '') {
      const was = await bounded('live policies', () => script.run(client, [key], [MAX_ENTRIES, field, value]));
      return was === FULL ? 'full' : was === 1;
    },
    listen(onVersion) {
      bus.listen({ onVersion });
      bus.start();
    },
    close: () => bus.close(),
  };
}

function writeScript(): RedisScript<number> {
  const files = [luaFiles.clock, new URL('../../lua/live-entries.lua', import.meta.url)];
  return defineScript({ name: 'live-entries', files, decode: Number });
}

function pairs(reply: unknown): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  const flat: readonly unknown[] = Array.isArray(reply) ? reply : [];
  for (let index = 0; index + 1 < flat.length; index += 2) map.set(String(flat[index]), String(flat[index + 1]));
  return map;
}
