import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { type Contender, PER_MINUTE, type Rule } from './contender.ts';

/** Spillway with its defaults. */
export function spillway(url: string, rule: Rule = PER_MINUTE): Contender {
  const client = new Redis(url, hotPathOptions);
  const limiter = createLimiter({
    redis: client,
    policies: [definePolicy({ name: 'bench', ...rule })],
    deadlineMs: 60_000,
  });
  return {
    name: 'Spillway',
    algorithm: 'exact sliding log',
    decide: (subject) => limiter.consume('bench', subject),
    close: async () => {
      await limiter.close();
      client.disconnect();
    },
  };
}
