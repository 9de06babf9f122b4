/*
 * The same as app.ts over a client of node-redis, in a project without ioredis; then a limiter without any Redis, and what a URL
 * says there.
 */
import { createBreakers, definePreset } from '@spillway/breaker';
import { createLimiter, memoryStore, nodeRedisOptions, tiers } from '@spillway/limiter';
import { createClient } from 'redis';

async function main() {
  const redis = createClient({ url: process.env['REDIS_URL'] ?? '', ...nodeRedisOptions });
  redis.on('error', () => undefined);
  await redis.connect();
  const limiter = createLimiter({ redis, policies: tiers, deadlineMs: 5_000 });
  const preset = definePreset({ name: 'down', trip: { strategy: 'consecutive', failures: 3 }, openMs: 60_000 });
  const breakers = createBreakers({ redis, presets: [preset], deadlineMs: 5_000 });
  const reasons = [];
  for (let request = 0; request < 22; request += 1) reasons.push((await limiter.consume('generation', 'ada')).reason);
  const calls = [];
  for (let call = 0; call < 5; call += 1) {
    const failing = breakers.run('service', 'down', () => Promise.reject(new Error('down')));
    calls.push(await failing.catch((/** @type {Error} */ error) => error.name));
  }
  await breakers.close();
  await limiter.close();
  redis.destroy();

  const alone = createLimiter({ store: memoryStore(), policies: [{ name: 'two', limit: 2, windowMs: 60_000 }] });
  for (let request = 0; request < 3; request += 1) reasons.push((await alone.consume('two', 'ada')).reason);
  await alone.close();

  const byUrl = createLimiter({
    redis: 'redis://127.0.0.1:1',
    policies: [{ name: 'two', limit: 2, windowMs: 60_000, onUnavailable: 'closed' }],
    onError: ({ code, kind }) => void calls.push(code, kind),
  });
  const { allowed, cause } = await byUrl.consume('two', 'ada');
  await byUrl.close();
  process.stdout.write(`${reasons.join(' ')} ${calls.join(' ')} ${allowed} ${cause}\n`);
}
void main();
