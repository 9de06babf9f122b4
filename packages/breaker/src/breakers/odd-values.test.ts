import { afterEach, describe, expect, it, vi } from 'vitest';
import { boom, fine, metricsWith, outcomeOf, quick } from '../../test/breakers.ts';
import type { BreakerMetrics } from '../metrics.ts';
import type { Classifier, Outcome } from '../outcome/outcome.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { Breakers } from './breaker.ts';
import { createBreakers } from './create-breakers.ts';

const trap = (): never => {
  throw new Error('trap');
};
const throwing = (target: object, key: string): object => Object.defineProperty(target, key, { get: trap });
const rejecting = async (): Promise<void> => trap();
const traps = { has: trap, get: (_: object, key: string | symbol) => (key === 'then' ? undefined : trap()) };
const results: readonly (readonly [string, object])[] = [
  ['a throwing status', throwing({}, 'status')],
  ['throwing headers', throwing({ status: 404 }, 'headers')],
  ['a throwing header', { status: 404, headers: { get: trap } }],
  ['headers of throwing keys', { status: 404, headers: new Proxy({}, { get: trap, ownKeys: trap }) }],
  ['a throwing error', throwing({ data: null }, 'error')],
  ['a Proxy whose traps throw', new Proxy({}, traps)],
  ['a Proxy without a prototype to ask for', new Proxy({}, { ...traps, getPrototypeOf: trap })],
  ['a revoked Proxy in its status', { status: revoked(), headers: revoked() }],
];
const errors: readonly (readonly [string, object])[] = [
  ...results,
  ...['status', 'response', 'name', 'code', 'message', 'cause', 'errors', 'constructor', '$metadata'].map(
    (key) => [`an error with a throwing ${key}`, throwing(new Error('x'), key)] as const,
  ),
  ['a throwing cause', new Error('x', { cause: new Proxy(new Error('y'), { get: trap, getPrototypeOf: trap }) })],
  ['a cause that is itself', circular()],
  ['a text that cannot be made', { toString: trap, toJSON: trap, [Symbol.toPrimitive]: trap }],
];

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function circular(): Error {
  const error = new Error('x');
  error.cause = error;
  return error;
}

let made: Breakers<'quick'> | undefined;
afterEach(async () => {
  vi.restoreAllMocks();
  await made?.close();
});

function make(options: Parameters<typeof quick>[0] = {}): Breakers<'quick'> {
  const breakers = createBreakers({ store: memoryStore(), presets: [quick({ openMs: 1, maxOpenMs: 1, ...options })] });
  made = breakers;
  return breakers;
}

/** Opens it, and waits until it may be probed. */
async function opened(breakers: Breakers<'quick'>): Promise<void> {
  for (let call = 0; call < 3; call += 1) await outcomeOf(breakers.run('a', 'quick', boom));
  await expect.poll(() => breakers.get('a', 'quick').snapshot().fleetState).toBe('open');
}

/** It closes: no place of a probe was lost. */
async function recovers(breakers: Breakers<'quick'>): Promise<void> {
  await expect.poll(() => outcomeOf(breakers.run('a', 'quick', fine))).toBe('fine');
  await expect.poll(() => breakers.get('a', 'quick').state).toBe('closed');
}

describe('a call', () => {
  it.each(results)('that gives %s comes back with it, as a probe too', async (_, value) => {
    const breakers = make();
    expect((await breakers.run('a', 'quick', async () => value)) === value).toBe(true);
    expect((await breakers.run('a', 'quick', async () => value, { timeoutScope: 'body' })) === value).toBe(true);
    await opened(breakers);
    const came = (): Promise<boolean> => breakers.run('a', 'quick', async () => value).then((given) => given === value);
    await expect.poll(() => came().catch(() => false)).toBe(true);
    await recovers(breakers);
  });

  it.each(errors)('that throws %s comes back with it, as a probe too', async (_, error) => {
    const breakers = make();
    const fail = (): Promise<never> => Promise.reject(error);
    const thrown = (): Promise<unknown> => breakers.run('a', 'quick', fail).catch((caught: unknown) => caught);
    expect((await thrown()) === error).toBe(true);
    await opened(breakers);
    await expect.poll(async () => (await thrown()) === error).toBe(true);
    await recovers(breakers);
  });
});

const classifiers: readonly (readonly [string, () => unknown])[] = [
  ['throws', trap],
  ['gives nothing', () => undefined],
  ['gives a promise that rejects', () => Promise.reject(new Error('late'))],
  ['gives an unknown kind', () => ({ kind: 'odd' })],
  ['gives a Proxy whose traps throw', () => new Proxy({}, { get: trap })],
];

describe('a classifier', () => {
  it.each(classifiers)('that %s leaves the decision to the default one, and is warned of once', async (_, give) => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue();
    const decide = give as () => Outcome;
    const classifier: Classifier = { ofResult: decide, ofError: decide };
    const breakers = make({ classifier });
    expect(await breakers.run('a', 'quick', fine)).toBe('fine');
    await opened(breakers);
    await recovers(breakers);
    expect(warned).toHaveBeenCalledOnce();
  });

  it('may ask for no more than a day, and its words are masked', async () => {
    const quota = { kind: 'quota', retryAfterMs: Number.MAX_VALUE, message: 'password=hunter2' } as const;
    const breakers = make({ classifier: { ofResult: () => quota, ofError: () => quota } });
    await breakers.run('a', 'quick', fine);
    await expect.poll(() => breakers.get('a', 'quick').snapshot().fleetState).toBe('open');
    expect(breakers.get('a', 'quick').snapshot().refusesForMs).toBeLessThanOrEqual(86_400_000);
  });
});

it('an asynchronous metrics callback that rejects ends nothing', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockReturnValue();
  const own = createBreakers({
    store: memoryStore(),
    presets: [quick()],
    metrics: metricsWith({ call: rejecting as BreakerMetrics['call'] }),
  });
  expect(await own.run('a', 'quick', fine)).toBe('fine');
  await expect.poll(() => warned.mock.calls.length).toBe(1);
  await own.close();
});

it('a fallback that throws, or cannot be read, is its own error', async () => {
  const breakers = make();
  await expect(breakers.run('a', 'quick', boom, { fallback: trap })).rejects.toThrow('trap');
  const odd = new Proxy({}, traps);
  expect((await breakers.run('a', 'quick', boom, { fallback: odd })) === odd).toBe(true);
});
