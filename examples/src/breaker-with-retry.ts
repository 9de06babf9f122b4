/*
 * Retries around a circuit breaker: each attempt goes through the breaker and counts, and once it is open nobody retries.
 *
 *     REDIS_URL=redis://127.0.0.1:6379 node examples/dist/breaker-with-retry.js
 */
import { CircuitOpenError, createBreakers, definePreset, hotPathOptions } from '@spillway/breaker';
import { Redis } from 'ioredis';
import pRetry from 'p-retry';

const { REDIS_URL = 'redis://127.0.0.1:6379' } = process.env;
const redis = new Redis(REDIS_URL, hotPathOptions);
const thumbnails = definePreset({
  name: 'thumbnails',
  trip: { strategy: 'consecutive', failures: 4 },
  openMs: 30_000,
});
const breakers = createBreakers({ redis, presets: [thumbnails] });

/** Up to 6 attempts. A refusal ends them: the next attempt would be refused as well. */
async function withRetries<T>(fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return pRetry(() => breakers.run('resizer', 'thumbnails', fn), {
    retries: 5,
    minTimeout: 100,
    shouldRetry: ({ error }) => !(error instanceof CircuitOpenError),
  });
}

let attempts = 0;
const worksTheThirdTime = async (): Promise<string> => {
  attempts += 1;
  if (attempts < 3) throw new Error('not yet');
  return `worked at attempt ${attempts}`;
};
process.stdout.write(`${await withRetries(worksTheThirdTime)}\n`);

attempts = 0;
const neverWorks = async (): Promise<string> => {
  attempts += 1;
  throw new Error('down');
};
try {
  await withRetries(neverWorks);
} catch (error) {
  const told = error instanceof CircuitOpenError ? error.message : String(error);
  process.stdout.write(`gave up after ${attempts} attempts: ${told}\n`);
}

await breakers.close();
redis.disconnect();
