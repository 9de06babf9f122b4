import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';

/** Something that decides requests, made ready to be measured. */
export interface Contender {
  readonly name: string;
  /** What it does in Redis, for the table. */
  readonly algorithm: string;
  decide(subject: string): Promise<unknown>;
  close(): Promise<void>;
}

/** The limit that every contender enforces: 100 a minute. */
const LIMIT = 100;
const WINDOW_MS = 60_000;

/** Spillway with its defaults. */
export function spillway(url: string): Contender {
  const client = new Redis(url, hotPathOptions);
  const limiter = createLimiter({
    redis: client,
    policies: [definePolicy({ name: 'bench', limit: LIMIT, windowMs: WINDOW_MS })],
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

/** rate-limiter-flexible with ioredis' auto-pipelining, which makes it much faster than its default. */
export function rateLimiterFlexible(url: string): Contender {
  const client = new Redis(url, { enableAutoPipelining: true });
  const limiter = new RateLimiterRedis({
    storeClient: client,
    points: LIMIT,
    duration: WINDOW_MS / 1000,
    keyPrefix: 'rlf',
  });
  return {
    name: 'rate-limiter-flexible',
    algorithm: 'fixed window',
    decide: (subject) =>
      limiter.consume(subject).catch((refusal: unknown) => {
        if (refusal instanceof RateLimiterRes) return refusal;
        throw refusal;
      }),
    close: async () => client.disconnect(),
  };
}

/** The least that a decision in Lua can cost: a script that decides nothing, auto-pipelined. */
export function bareScript(url: string): Contender {
  const client = new Redis(url, { enableAutoPipelining: true });
  const sha = client.script('LOAD', 'return 1');
  return {
    name: 'EVALSHA of `return 1`',
    algorithm: 'none',
    decide: async (subject) => client.evalsha(String(await sha), 1, subject),
    close: async () => client.disconnect(),
  };
}
