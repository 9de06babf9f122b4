import { RedisStore, rateLimiter } from 'hono-rate-limiter';
import { Redis } from 'ioredis';
import { type Contender, PER_MINUTE, type Rule } from './contender.ts';
import { peerReply } from './peer-reply.ts';

/** hono-rate-limiter's Redis store, without the middleware around it: what `increment` costs, auto-pipelined. */
export function honoRateLimiter(url: string, { limit, windowMs }: Rule = PER_MINUTE): Contender {
  const client = new Redis(url, { enableAutoPipelining: true });
  const store = new RedisStore({
    prefix: 'hrl:',
    client: {
      scriptLoad: async (script) => String(await client.script('LOAD', script)),
      evalsha: async <Reply>(hash: string, keys: string[], args: unknown[]) =>
        peerReply<Reply>(await client.evalsha(hash, keys.length, ...keys, ...args.map(String))),
      decr: (key) => client.decr(key),
      del: (key) => client.del(key),
    },
  });
  // Making the middleware is what hands the store its window.
  rateLimiter({ store, limit, windowMs, keyGenerator: () => 'unused' });
  return {
    name: 'hono-rate-limiter',
    algorithm: 'fixed window',
    decide: (subject) => store.increment(subject),
    close: async () => client.disconnect(),
  };
}
