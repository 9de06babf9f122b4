/*
 * cockatiel's policies around and inside a circuit breaker: a retry policy and a bulkhead.
 *
 *     REDIS_URL=redis://127.0.0.1:6379 node examples/dist/breaker-with-bulkhead.js
 */
import { CircuitOpenError, createBreakers, hotPathOptions } from '@spillway/breaker';
import { bulkhead, ConstantBackoff, handleWhen, retry } from 'cockatiel';
import { Redis } from 'ioredis';

const { REDIS_URL = 'redis://127.0.0.1:6379' } = process.env;
const redis = new Redis(REDIS_URL, hotPathOptions);
const breakers = createBreakers({ redis });

// Outside: retry, but not what the breaker refused.
const retries = retry(
  handleWhen((error) => !(error instanceof CircuitOpenError)),
  { maxAttempts: 2, backoff: new ConstantBackoff(10) },
);
// Inside: at most 2 uploads at once and 2 waiting. What it rejects never reached the store, so it counts as nothing.
const twoAtOnce = bulkhead(2, 2);

let uploads = 0;
const upload = async (): Promise<void> => {
  uploads += 1;
  await new Promise((resolve) => setTimeout(resolve, 50));
};

const burst = Array.from({ length: 20 }, () => breakers.run('bucket', 'storage', () => twoAtOnce.execute(upload)));
const settled = await Promise.allSettled(burst);
const rejected = settled.filter(({ status }) => status === 'rejected').length;
process.stdout.write(`${uploads} uploaded, ${rejected} rejected by the bulkhead\n`);
process.stdout.write(`the breaker is ${breakers.get('bucket', 'storage').state}\n`);

let attempts = 0;
const failsOnce = async (): Promise<string> => {
  attempts += 1;
  if (attempts === 1) throw new Error('connection reset');
  return `stored at attempt ${attempts}`;
};
process.stdout.write(`${await retries.execute(() => breakers.run('bucket', 'storage', failsOnce))}\n`);

await breakers.close();
redis.disconnect();
