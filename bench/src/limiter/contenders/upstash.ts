import { createHash } from 'node:crypto';
import { Ratelimit, type RatelimitConfig } from '@upstash/ratelimit';
import { Redis } from 'ioredis';
import { type Contender, PER_MINUTE, type Rule } from './contender.ts';
import { peerReply } from './peer-reply.ts';

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
function overSocket(client: Redis): UpstashClient {
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
