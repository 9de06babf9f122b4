import { afterEach, expect, it } from 'vitest';
import { breakerFetch, type Fetch } from '../fetch/index.ts';
import { memoryStore } from '../store/memory-store.ts';
import { outcomeOf, quick } from '../../test/breakers.ts';
import { createBreakers } from './create-breakers.ts';

const breakers = createBreakers({ store: memoryStore(), presets: [quick()] });
afterEach(async () => {
  await breakers.get('a', 'quick').reset({ who: 'test' });
});

const hang = (): Promise<never> => new Promise(() => undefined);

/** A provider that never answers. */
const hanging: Fetch = (_, init) =>
  new Promise((__, reject) => {
    init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
  });
const guarded = breakerFetch(breakers, 'a', 'quick', { fetch: hanging });

/** What five calls with a signal come to, one after the other. */
async function five(signalOf: () => AbortSignal): Promise<unknown[]> {
  const outcomes: unknown[] = [];
  for (let call = 0; call < 5; call += 1) {
    const outcome = await guarded('http://a.test/', { signal: signalOf() }).catch((error: unknown) => error);
    outcomes.push(outcome instanceof DOMException ? outcome.name : await outcomeOf(Promise.reject(outcome)));
  }
  return outcomes;
}

function leaving(): AbortSignal {
  const person = new AbortController();
  setImmediate(() => person.abort());
  return person.signal;
}

it.each<[string, () => AbortSignal]>([
  ['AbortSignal.timeout', () => AbortSignal.timeout(1)],
  ['it among others', () => AbortSignal.any([AbortSignal.timeout(1), new AbortController().signal])],
])('a deadline that the caller set with %s fails, and opens', async (_, signalOf) => {
  expect(await five(signalOf)).toEqual([
    'TimeoutError',
    'TimeoutError',
    'TimeoutError',
    'circuit_open',
    'circuit_open',
  ]);
});

it.each<[string, () => AbortSignal]>([
  ['leaves', leaving],
  ['leaves before a deadline', () => AbortSignal.any([AbortSignal.timeout(60_000), leaving()])],
  ['had left before', () => AbortSignal.abort()],
])('a person who %s counts as nothing', async (_, signalOf) => {
  expect(await five(signalOf)).toEqual(Array.from({ length: 5 }, () => 'AbortError'));
  expect(breakers.get('a', 'quick').state).toBe('closed');
});

it('a deadline that was over before the call was made says nothing of the dependency', async () => {
  const over = AbortSignal.abort(new DOMException('time is up', 'TimeoutError'));
  expect(await five(() => over)).toEqual(Array.from({ length: 5 }, () => 'TimeoutError'));
  expect(breakers.get('a', 'quick').state).toBe('closed');
});

const within = (signal: AbortSignal): Promise<unknown> =>
  breakers.run('a', 'quick', hang, { signal, fallback: 'cached' });

it("gives the fallback when the caller's own time was up, and not when a person left", async () => {
  expect(await within(AbortSignal.timeout(1))).toBe('cached');
  await expect(within(leaving())).rejects.toThrow('aborted');
});
