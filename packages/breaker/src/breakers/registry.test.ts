import { afterEach, expect, it, vi } from 'vitest';
import type { BreakerMetrics } from '../metrics.ts';
import { memoryStore } from '../store/memory-store.ts';
import { boom, fine, outcomeOf, quick } from '../../test/breakers.ts';
import { createBreakers } from './create-breakers.ts';

afterEach(() => {
  vi.useRealTimers();
});

const nothing = (): void => undefined;

function recorder(): { metrics: BreakerMetrics; forgotten: string[] } {
  const forgotten: string[] = [];
  const forget = (name: string): void => void forgotten.push(name);
  return {
    forgotten,
    metrics: {
      state: nothing,
      call: nothing,
      transition: nothing,
      lease: nothing,
      flush: nothing,
      outage: nothing,
      forget,
    },
  };
}

it('holds no more breakers than it may, and lets closed ones go first', async () => {
  const { metrics, forgotten } = recorder();
  const store = memoryStore();
  const breakers = createBreakers({ store, presets: [quick()], maxBreakers: 10, metrics });
  for (let call = 0; call < 3; call += 1) await outcomeOf(breakers.run('open', 'quick', boom));
  for (let name = 0; name < 40; name += 1) await breakers.run(`n${name}`, 'quick', fine);
  expect(breakers.snapshot().length).toBeLessThanOrEqual(10);
  expect(breakers.snapshot().map(({ name }) => name)).toContain('open');
  expect(forgotten).not.toContain('open');
  expect(forgotten.length + breakers.snapshot().length).toBe(41);
  await breakers.close();
});

it('lets go of a closed breaker that nobody calls, keeps an open one, and finds the state again in the store', async () => {
  vi.useFakeTimers();
  const { metrics, forgotten } = recorder();
  const breakers = createBreakers({
    store: memoryStore(),
    presets: [quick({ openMs: 3_600_000 })],
    idleMs: 60_000,
    metrics,
  });
  const handle = breakers.get('idle', 'quick');
  await breakers.run('idle', 'quick', fine);
  for (let call = 0; call < 3; call += 1) await outcomeOf(breakers.run('open', 'quick', boom));
  await vi.advanceTimersByTimeAsync(200_000);
  expect(forgotten).toEqual(['idle']);
  expect(breakers.snapshot().map(({ name }) => name)).toEqual(['open']);
  expect((await handle.read()).epoch).toBeGreaterThan(0);
  await breakers.close();
});
