/*
 * A process that floods a limiter and tells what became of its heap: run with --expose-gc, on the URL of a Redis, or of a
 * Cluster's nodes separated by commas. Each line on stdin is a round of so many concurrent requests; the answer is a line of JSON.
 */
import { createInterface } from 'node:readline';
import { hotPathClusterOptions, hotPathOptions } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { createLimiter } from '../src/limiter/create-limiter.ts';
import { definePolicy } from '../src/policy.ts';

const DEADLINE_MS = 100;
const urls = (process.argv[2] ?? '').split(',');
const [url = ''] = urls;
const client = urls.length > 1 ? new Cluster([...urls], hotPathClusterOptions) : new Redis(url, hotPathOptions);
client.on('error', () => undefined);

const policies = [
  definePolicy({ name: 'open', limit: 1_000, windowMs: 60_000 }),
  definePolicy({ name: 'local', limit: 1_000, windowMs: 60_000, onUnavailable: 'local' }),
] as const;
const limiter = createLimiter({ redis: client, policies, deadlineMs: DEADLINE_MS });

async function round(requests: number): Promise<Record<string, number>> {
  const reasons: Record<string, number> = {};
  const startedAt = performance.now();
  const one = async (index: number): Promise<void> => {
    const decision = await limiter.consume(index % 2 === 0 ? 'open' : 'local', `user-${index % 1_000}`);
    const reason = decision.source ?? decision.reason;
    reasons[reason] = (reasons[reason] ?? 0) + 1;
  };
  await Promise.all(Array.from({ length: requests }, (_, index) => one(index)));
  const tookMs = Math.round(performance.now() - startedAt);
  // Late work is let go with its connection, a second after it went silent.
  await new Promise((resolve) => setTimeout(resolve, 1_300));
  globalThis.gc?.();
  globalThis.gc?.();
  return { ...reasons, tookMs, heapMb: Math.round(process.memoryUsage().heapUsed / 1e5) / 10 };
}

createInterface({ input: process.stdin }).on('line', (requests) => {
  void round(Number(requests)).then((report) => process.stdout.write(`${JSON.stringify(report)}\n`));
});
