import { createBreakers } from '@spillway/breaker';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { type Contender, FAILURES_TO_OPEN, Switch } from './contender.ts';

/** Spillway with its defaults: a built-in preset, a timeout of 2 minutes, the state shared through Redis. */
export async function spillway(url: string): Promise<Contender> {
  const redis = new Redis(url, hotPathOptions);
  redis.on('error', () => undefined);
  const breakers = createBreakers({ redis });
  const dependency = new Switch();
  const call = (): Promise<number> => breakers.run('bench', 'ai_provider', dependency.run);
  return {
    name: 'Spillway',
    timeout: 'yes',
    call,
    open: async () => {
      dependency.fail();
      for (let made = 0; made < FAILURES_TO_OPEN; made += 1) await call().catch(() => undefined);
    },
    close: async () => {
      await breakers.close();
      redis.disconnect();
    },
  };
}
