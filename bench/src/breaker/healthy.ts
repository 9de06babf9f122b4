import { createBreakers } from '@spillway/breaker';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { redisCost } from './redis-cost.ts';
import { work } from './contenders/contender.ts';

/** What Redis has to do for calls that all succeed. */
export interface HealthyLoad {
  readonly callsPerSecond: number;
  readonly commandsPerThousandCalls: number;
  /** Of them, those that the process sent; the others are the scripts' own. */
  readonly sentPerThousandCalls: number;
  /** Commands a second when nobody calls. */
  readonly idleCommandsPerSecond: number;
}

const CALLS_PER_SECOND = 100_000;
const SECONDS = 5;
const SLICE_MS = 10;

/** Calls that succeed, paced at 100,000 a second over ten breakers, then silence. */
export async function healthy(url: string): Promise<HealthyLoad> {
  const redis = new Redis(url, hotPathOptions);
  const breakers = createBreakers({ redis });
  const names = Array.from({ length: 10 }, (_, index) => `dependency-${index}`);
  let made = 0;
  const startedAt = performance.now();
  const { commands, sent } = await redisCost(url, async () => {
    while (performance.now() - startedAt < SECONDS * 1000) {
      const due = Math.floor(((performance.now() - startedAt) * CALLS_PER_SECOND) / 1000) - made;
      const calls = Array.from({ length: due }, (_, call) =>
        breakers.run(names[(made + call) % names.length] ?? '', 'storage', work),
      );
      await Promise.all(calls);
      made += due;
      await pause(SLICE_MS);
    }
  });
  const seconds = (performance.now() - startedAt) / 1000;
  await pause(3_000);
  const idle = await redisCost(url, () => pause(5_000));
  await breakers.close();
  redis.disconnect();
  return {
    callsPerSecond: made / seconds,
    commandsPerThousandCalls: (commands * 1000) / made,
    sentPerThousandCalls: (sent * 1000) / made,
    idleCommandsPerSecond: idle.commands / 5,
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
