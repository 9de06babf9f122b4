import { createBreakers, definePreset } from '@spillway/breaker';
import { createLimiter, hotPathOptions, tiers } from '@spillway/limiter';
import { configureRateLimit } from '@spillway/limiter/fetch';
import { Redis } from 'ioredis';

const redis = new Redis(process.env.REDIS_URL, hotPathOptions);
redis.on('error', () => undefined);
export const limiter = createLimiter({ redis, policies: tiers });
configureRateLimit({ limiter, identify: () => 'ada' });
const preset = definePreset({ name: 'down', trip: { strategy: 'consecutive', failures: 3 }, openMs: 60_000 });
export const breakers = createBreakers({ redis, presets: [preset] });
export { applyRateLimit } from '@spillway/limiter/fetch';
