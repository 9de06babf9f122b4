/*
 * An application with a limiter, its Hono middleware and a breaker, that floods itself once and says what it saw. It is written
 * so that it is JavaScript too: tests run, compile and bundle it in a project of its own.
 */
import { CircuitOpenError, createBreakers, definePreset } from '@spillway/breaker';
import { createLimiter, hotPathOptions, tiers } from '@spillway/limiter';
import { rateLimit } from '@spillway/limiter/hono';
import { Hono } from 'hono';
import { Redis } from 'ioredis';

async function main() {
  const redis = new Redis(process.env['REDIS_URL'] ?? '', hotPathOptions);
  redis.on('error', () => undefined);
  await new Promise((resolve) => redis.once('ready', resolve));
  const limiter = createLimiter({ redis: process.env['REDIS_URL'] ?? '', policies: tiers, deadlineMs: 5_000 });
  const preset = definePreset({ name: 'down', trip: { strategy: 'consecutive', failures: 3 }, openMs: 60_000 });
  const breakers = createBreakers({ redis, presets: [preset], deadlineMs: 5_000 });
  const app = new Hono();
  app.use(rateLimit({ limiter, policy: 'generation', identify: () => 'ada' }));
  app.get('/', (context) => context.text('hello'));

  const statuses = [];
  for (let request = 0; request < 22; request += 1) statuses.push((await app.request('/')).status);
  const calls = [];
  for (let call = 0; call < 5; call += 1) {
    const failing = breakers.run('service', 'down', () => Promise.reject(new Error('down')));
    calls.push(await failing.catch((error) => (error instanceof CircuitOpenError ? 'refused' : 'down')));
  }
  await breakers.close();
  await limiter.close();
  redis.disconnect();
  process.stdout.write(`${statuses.join(' ')} ${calls.join(' ')}\n`);
}
void main();
