import type { RedisFixture } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { expect } from 'vitest';
import type { Breakers } from '../src/breakers/breaker.ts';
import { createBreakers } from '../src/breakers/create-breakers.ts';
import { breakerExchange } from '../src/exchange.ts';
import { createBreakers as createStoreBreakers, httpStore } from '../src/http-store/index.ts';
import type { BreakerMetrics } from '../src/metrics.ts';
import { definePreset, type Preset, type PresetOptions } from '../src/presets/preset.ts';
import { memoryStore } from '../src/store/memory-store.ts';
import { playApi, type PlayedApi } from './stores.ts';

/** Fails, as the dependency would. */
export const boom = async (): Promise<never> => {
  throw new Error('boom');
};

/** Goes well. */
export const fine = async (): Promise<string> => 'fine';

/** What a call came to: its value, or the code or message of its error. */
export async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return error.code;
    return error instanceof Error ? error.message : error;
  }
}

/** A preset that opens after three failures for `openMs`, with one probe. */
export function quick(options: Partial<PresetOptions> = {}): Preset<'quick'> {
  return definePreset({
    trip: { strategy: 'consecutive', failures: 3 },
    openMs: 60_000,
    timeoutMs: 2_000,
    ...options,
    name: 'quick',
  });
}

const nothing = (): void => undefined;

/** Metrics that forget all but what they are given to do. */
export function metricsWith(callbacks: Partial<BreakerMetrics>): BreakerMetrics {
  const none = { state: nothing, call: nothing, transition: nothing, lease: nothing, flush: nothing, outage: nothing };
  return { ...none, ...callbacks };
}

/** Several processes' breakers on one store; each call of `make` is a process more. */
export interface FleetUnderTest {
  make(presets: readonly [Preset<'quick'>, ...Preset<'quick'>[]], metrics?: BreakerMetrics): Promise<Breakers<'quick'>>;
  dispose(): Promise<void>;
}

/** All on one store in memory. */
export function memoryFleet(): FleetUnderTest {
  const store = memoryStore();
  const made: Breakers<'quick'>[] = [];
  return {
    async make(presets, metrics) {
      const breakers = createBreakers({ store, presets, ...(metrics === undefined ? {} : { metrics }) });
      made.push(breakers);
      return breakers;
    },
    dispose: async () => void (await Promise.all(made.map((breakers) => breakers.close()))),
  };
}

/** Each over HTTP, before one API on a Redis. */
export function httpFleet(redis: RedisFixture): FleetUnderTest {
  const made: Breakers<'quick'>[] = [];
  let api: Promise<PlayedApi> | undefined;
  return {
    async make(presets, metrics) {
      api ??= playApi(breakerExchange({ redis: redis.connect(hotPathOptions), deadlineMs: 2_000 }));
      const { url } = Object.assign(await api, { actor: 'ops' });
      const store = httpStore({ url, key: 'right', deadlineMs: 5_000 });
      const breakers = createStoreBreakers({ store, presets, ...(metrics === undefined ? {} : { metrics }) });
      made.push(breakers);
      return breakers;
    },
    async dispose() {
      await Promise.all(made.map((breakers) => breakers.close()));
      await (await api)?.close();
    },
  };
}

/** All on one Redis, each over its own connection. */
export function redisFleet(redis: RedisFixture): FleetUnderTest {
  const made: Breakers<'quick'>[] = [];
  return {
    async make(presets, metrics) {
      const client = redis.connect(hotPathOptions);
      const before = await subscribers(redis);
      const told = metrics === undefined ? {} : { metrics };
      const breakers = createBreakers({ redis: client, presets, deadlineMs: 2_000, ...told });
      made.push(breakers);
      await expect.poll(() => subscribers(redis)).toBeGreaterThan(before);
      return breakers;
    },
    dispose: async () => void (await Promise.all(made.map((breakers) => breakers.close()))),
  };
}

async function subscribers(redis: RedisFixture): Promise<number> {
  const [, count] = await redis.client.pubsub('NUMSUB', 'spillway:0:breakers');
  return Number(count);
}
