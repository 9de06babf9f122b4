import { rateLimit } from 'express-rate-limit';
import { Redis } from 'ioredis';
import { RedisStore } from 'rate-limit-redis';
import { type Contender, PER_MINUTE, type Rule } from './contender.ts';
import { peerReply } from './peer-reply.ts';

/** express-rate-limit's Redis store, without the middleware around it: what `increment` costs, auto-pipelined. */
export function expressRateLimit(url: string, { limit, windowMs }: Rule = PER_MINUTE): Contender {
  const client = new Redis(url, { enableAutoPipelining: true });
  const store = new RedisStore({
    prefix: 'erl:',
    sendCommand: async (command, ...args) => peerReply(await client.call(command, args)),
  });
  // Making the middleware is what hands the store its window and loads its scripts.
  rateLimit({ store, limit, windowMs, validate: false });
  return {
    name: 'express-rate-limit + rate-limit-redis',
    algorithm: 'fixed window',
    decide: (subject) => store.increment(subject),
    close: async () => client.disconnect(),
  };
}
