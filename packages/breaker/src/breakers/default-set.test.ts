import { afterAll, expect, it } from 'vitest';
import { boom, outcomeOf } from '../../test/breakers.ts';
import { memoryStore } from '../store/memory-store.ts';
import { configureCircuitBreakers, createBreakers, withCircuitBreaker } from './create-breakers.ts';

const breakers = createBreakers({ store: memoryStore() });
afterAll(() => breakers.close());

it('says what is missing when it was not configured', async () => {
  await expect(withCircuitBreaker('runware', 'ai_provider', boom)).rejects.toMatchObject({
    code: 'breakers_not_configured',
  });
});

it("runs the guide's call, with its database client or without", async () => {
  configureCircuitBreakers(breakers);
  const fetched = new Response('ok');
  const supabase = { from: (table: string) => table };
  expect(await withCircuitBreaker('runware', 'ai_provider', async () => fetched)).toBe(fetched);
  expect(await withCircuitBreaker('runware', 'ai_provider', async () => fetched, supabase)).toBe(fetched);
  for (let call = 0; call < 5; call += 1)
    expect(await outcomeOf(withCircuitBreaker('down', 'ai_provider', boom))).toBe('boom');
  expect(await outcomeOf(withCircuitBreaker('down', 'ai_provider', boom))).toBe('circuit_open');
  expect(await withCircuitBreaker('down', 'ai_provider', boom, { fallback: 'spare' })).toBe('spare');
});

it('opens each built-in preset at its threshold, not before', async () => {
  const thresholds = { ai_provider: 5, storage: 3, webhook: 10, email: 5 } as const;
  for (const preset of ['ai_provider', 'storage', 'webhook', 'email'] as const) {
    for (let call = 1; call < thresholds[preset]; call += 1) await outcomeOf(breakers.run('x', preset, boom));
    expect(breakers.get('x', preset).state).toBe('closed');
    await outcomeOf(breakers.run('x', preset, boom));
    expect(breakers.get('x', preset).state).toBe('open');
  }
});
