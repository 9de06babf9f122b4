import type { Cluster, Redis } from 'ioredis';

/** Redis' clock, in ms since 1970. */
export async function redisNowMs(redis: Pick<Redis | Cluster, 'time'>): Promise<number> {
  const [seconds = 0, micros = 0] = (await redis.time()).map(Number);
  return seconds * 1_000 + micros / 1_000;
}
