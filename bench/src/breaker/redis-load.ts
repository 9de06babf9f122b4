import { createBreakers, definePreset } from '@spillway/breaker';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { redisCost } from '../redis-usage.ts';
import { quantile } from '../section.ts';
import { work } from './contenders.ts';

/** What Redis has to do for calls that all succeed. */
export interface HealthyLoad {
  readonly callsPerSecond: number;
  readonly commandsPerThousandCalls: number;
  /** Of them, those that the process sent; the others are the scripts' own. */
  readonly sentPerThousandCalls: number;
  /** Commands a second while no calls are made. */
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

/** What it costs a breaker to open, to probe and to close again, and how fast others hear of it. */
export interface TransitionCost {
  readonly commandsPerTransition: number;
  readonly redisMicrosPerTransition: number;
  /** From the failure that trips to the refusal by another instance, in ms. */
  readonly heardP50Ms: number;
  readonly heardP99Ms: number;
}

const BREAKERS = 200;
/** closed → open → half_open → closed. */
const TRANSITIONS = 3;

const preset = definePreset({
  name: 'bench',
  trip: { strategy: 'consecutive', failures: 1 },
  openMs: 1_000,
  maxOpenMs: 1_000,
  quorum: 1,
});

/** Opens breakers one after the other in one instance and waits until another one refuses; then closes them by probes. */
export async function transitions(url: string): Promise<TransitionCost> {
  const instances = [0, 1].map(() => {
    const redis = new Redis(url, hotPathOptions);
    return { redis, breakers: createBreakers({ redis, presets: [preset] }) };
  });
  const [one, other] = instances;
  if (one === undefined || other === undefined) throw new Error('there are two instances');
  const names = Array.from({ length: BREAKERS }, (_, index) => `dependency-${index}`);
  // Both instances know all breakers before anything happens.
  for (const { breakers } of instances) for (const name of names) await breakers.run(name, 'bench', async () => 1);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const heardMs: number[] = [];
  const { commands, micros } = await redisCost(url, async () => {
    for (const name of names) {
      const startedAt = performance.now();
      await one.breakers.run(name, 'bench', () => Promise.reject(new Error('down'))).catch(() => undefined);
      while (other.breakers.get(name, 'bench').state !== 'open') await new Promise((resolve) => setImmediate(resolve));
      heardMs.push(performance.now() - startedAt);
    }
    for (const name of names) {
      while (one.breakers.get(name, 'bench').state !== 'closed') {
        await one.breakers.run(name, 'bench', async () => 1).catch(() => new Promise((again) => setTimeout(again, 20)));
      }
    }
  });
  for (const { breakers, redis } of instances) {
    await breakers.close();
    redis.disconnect();
  }
  const made = BREAKERS * TRANSITIONS;
  return {
    commandsPerTransition: commands / made,
    redisMicrosPerTransition: micros / made,
    heardP50Ms: quantile(heardMs, 0.5),
    heardP99Ms: quantile(heardMs, 0.99),
  };
}
