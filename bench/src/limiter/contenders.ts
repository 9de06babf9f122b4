import { createHash } from 'node:crypto';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Ratelimit, type RatelimitConfig } from '@upstash/ratelimit';
import { rateLimit } from 'express-rate-limit';
import { rateLimiter, RedisStore as HonoRedisStore } from 'hono-rate-limiter';
import { Redis } from 'ioredis';
import { RedisStore } from 'rate-limit-redis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
/** Something that decides requests, made ready to be measured. */
export interface Contender {
  readonly name: string;
  /** What it does in Redis, for the table. */
  readonly algorithm: string;
  decide(subject: string): Promise<unknown>;
  close(): Promise<void>;
}

/** The rule that a contender enforces. */
export interface Rule {
  readonly limit: number;
  readonly windowMs: number;
}

/** 100 a minute, the guide's standard tier. */
const PER_MINUTE: Rule = { limit: 100, windowMs: 60_000 };

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

/** rate-limiter-flexible with ioredis' auto-pipelining, which makes it much faster than its default. */
export function rateLimiterFlexible(url: string, { limit, windowMs }: Rule = PER_MINUTE): Contender {
  const client = new Redis(url, { enableAutoPipelining: true });
  const limiter = new RateLimiterRedis({
    storeClient: client,
    points: limit,
    duration: windowMs / 1000,
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

/**
 * `@upstash/ratelimit`'s sliding window at its fastest: over a socket instead of HTTP, auto-pipelined, with its own
 * cache of refused subjects (its default) and without its timer for each decision.
 */
export function upstash(url: string, { limit, windowMs }: Rule = PER_MINUTE): Contender {
  const client = new Redis(url, { enableAutoPipelining: true });
  const limiter = new Ratelimit({
    redis: overSocket(client),
    limiter: Ratelimit.slidingWindow(limit, `${windowMs} ms`),
    prefix: 'upstash',
    timeout: 0,
    enableTelemetry: false,
  });
  return {
    name: '@upstash/ratelimit',
    algorithm: 'two weighted windows',
    decide: (subject) => limiter.limit(subject),
    close: async () => client.disconnect(),
  };
}

/** The commands that the limiter sends; it types only some of them. */
type UpstashClient = RatelimitConfig['redis'] & {
  eval<Reply>(script: string, keys: string[], args: unknown[]): Promise<Reply>;
};

/**
 * The scripts begin with a `#!lua` line whose flag only Upstash's servers know: stock Redis refuses them. Without that
 * line they have another hash, so the hash that the peer asks for is translated: else each decision would take two trips.
 */
export function overSocket(client: Redis): UpstashClient {
  const hashes = new Map<string, string>();
  const run = async <Reply>(hash: string, keys: string[], args: unknown[]): Promise<Reply> =>
    peerReply<Reply>(await client.evalsha(hash, keys.length, ...keys, ...args.map(String)));
  return {
    evalsha: async <Reply>(asked: string, keys: string[], args: unknown[]) => {
      const hash = hashes.get(asked);
      if (hash === undefined) throw new Error('NOSCRIPT not loaded yet');
      return run<Reply>(hash, keys, args);
    },
    eval: async <Reply>(script: string, keys: string[], args: unknown[]) => {
      const hash = String(await client.script('LOAD', script.replace(/^#!lua[^\n]*\n/, '')));
      hashes.set(createHash('sha1').update(script).digest('hex'), hash);
      return run<Reply>(hash, keys, args);
    },
    get: async () => Promise.reject(new Error('the limiter reads no key outside its scripts')),
    set: async () => Promise.reject(new Error('the limiter writes no key outside its scripts')),
  };
}

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

/** hono-rate-limiter's Redis store, without the middleware around it: what `increment` costs, auto-pipelined. */
export function honoRateLimiter(url: string, { limit, windowMs }: Rule = PER_MINUTE): Contender {
  const client = new Redis(url, { enableAutoPipelining: true });
  const store = new HonoRedisStore({
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

/**
 * The least that a decision in Lua can cost: a script that decides nothing. Auto-pipelining is for many in flight;
 * with one in flight it only puts the command off to the next turn of the event loop.
 */
export function bareScript(url: string, enableAutoPipelining: boolean = true): Contender {
  const client = new Redis(url, { enableAutoPipelining });
  const sha = client.script('LOAD', 'return 1');
  return {
    name: 'EVALSHA of `return 1`',
    algorithm: 'none',
    decide: async (subject) => client.evalsha(String(await sha), 1, subject),
    close: async () => client.disconnect(),
  };
}

/* oxlint-disable typescript/no-unnecessary-type-parameters -- the peers' interfaces let the caller name the reply */
/**
 * Passes a reply of ioredis (`unknown`) on to a peer that types it itself. Only null is refused: no script or command
 * that the peers send answers with it.
 */
export function peerReply<Reply>(reply: unknown): Reply {
  if (isReply<Reply>(reply)) return reply;
  throw new TypeError('Redis answered a peer with null');
}

// The peers ask for "whatever you say it is"; a guard says it in one place instead of a cast in each.
function isReply<Reply>(reply: unknown): reply is Reply {
  return reply !== null && reply !== undefined;
}
