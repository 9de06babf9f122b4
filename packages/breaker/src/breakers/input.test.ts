import { afterEach, describe, expect, it, vi } from 'vitest';
import { boom, fine, outcomeOf, quick } from '../../test/breakers.ts';
import { BreakerInputError, checkName } from '../errors.ts';
import type { BreakerMetrics } from '../metrics.ts';
import { machineConfig } from '../presets/machine-config.ts';
import type { Preset } from '../presets/preset.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { BreakerStore } from '../store/store.ts';
import { createBreakers as createStoreBreakers } from '../http-store/index.ts';
import type { RunOptions } from './breaker.ts';
import { createBreakers } from './create-breakers.ts';

const hang = (): Promise<never> => new Promise(() => undefined);
const fail = (): never => {
  throw new Error('metrics are down');
};
const throwing = (): number => {
  throw new RangeError('at once');
};
const store = memoryStore();
const breakers = createBreakers({ store, presets: [quick()] });
afterEach(() => {
  vi.restoreAllMocks();
});

describe('createBreakers', () => {
  it.each([
    [{ presets: quick() as unknown as [] }, 'presets must be a list, not a value of type object'],
    [{ presets: [{ name: 'mine' } as unknown as Preset] }, 'preset mine: openMs must be a whole number'],
    [{ presets: [{ ...quick(), openMs: Number.NaN }] }, 'preset quick: openMs must be a whole number'],
    [
      { presets: [{ ...quick(), trip: { strategy: 'consecutive', failures: '5' } } as unknown as Preset] },
      'trip.failures',
    ],
    [{ presets: [{ ...quick(), resetTimeout: 5 } as Preset] }, 'resetTimeout is not an option; there are name, trip'],
    [{ presets: [undefined as unknown as Preset] }, 'preset must be an object, not undefined'],
    [{ preset: [] } as object, 'preset is not an option; there are redis, store, presets'],
    [{ presets: [quick(), quick()] }, 'presets holds "quick" twice'],
    [{ deadlineMs: 0 }, 'deadlineMs must be a whole number from 1 to 60000, not 0'],
    [{ shards: 5_000 }, 'shards must be a whole number from 1 to 4096, not 5000'],
    [{ outboxCap: 1.5 }, 'outboxCap must be a whole number'],
    [{ outboxCap: null as unknown as number }, 'outboxCap must be a whole number'],
    [
      { presets: [{ ...quick(), timeoutMs: null as unknown as number }] },
      'preset quick: timeoutMs must be a whole number',
    ],
    [{ maxBreakers: 0 }, 'maxBreakers must be'],
    [{ idleMs: -1 }, 'idleMs must be'],
    [{ controlOnly: 'yes' as unknown as boolean }, 'controlOnly must be a boolean, not "yes"'],
    [{ metrics: 7 as unknown as BreakerMetrics }, 'metrics must be an object, not 7'],
    [{ metrics: {} as BreakerMetrics }, 'metrics.state must be a function, not undefined'],
  ])('refuses %j at construction', (options, message) => {
    const make = (): unknown => createBreakers({ store, ...options });
    expect(make).toThrow(BreakerInputError);
    expect(make).toThrow(message);
  });

  it.each([null, 7, 'memory', {}, { ...memoryStore(), poll: undefined }])(
    'refuses %j in the place of a store',
    (given) => {
      for (const make of [createBreakers, createStoreBreakers] as const) {
        expect(() => make({ store: given as unknown as BreakerStore })).toThrow(BreakerInputError);
        expect(() => make({ store: given as unknown as BreakerStore })).toThrow('store must be what');
      }
    },
  );
});

describe('run', () => {
  it.each([
    ['a', 'unheard', {}, 'preset must be one of ai_provider, storage, webhook, email, quick, not "unheard"'],
    ['', 'quick', {}, 'name must be a string of 1 to 128 characters, not ""'],
    ['a\nb', 'quick', {}, 'name must not contain control characters'],
    ['a', 'quick', { timeoutMs: 3_000 }, 'timeoutMs must be a whole number from 1 to 2000, not 3000'],
    ['a', 'quick', { timeoutMs: -1 }, 'timeoutMs must be'],
    ['a', 'quick', { timeoutMs: '5' }, 'timeoutMs must be'],
    ['a', 'quick', { timeout: 5 }, 'timeout is not an option; there are signal, timeoutScope, timeoutMs, fallback'],
    ['a', 'quick', { timeoutScope: 'everything' }, 'timeoutScope must be one of headers, body, not "everything"'],
    ['a', 'quick', { signal: {} }, 'signal must be an AbortSignal, not a value of type object'],
    ['a', 'quick', { signal: null }, 'signal must be an AbortSignal, not null'],
    ['a', 'quick', 5_000, 'options must be an object, not 5000'],
    ['a', 'quick', null, 'options must be an object, not null'],
  ])('rejects %j of preset %j with %j, and does not call the function', async (name, preset, options, message) => {
    const fn = vi.fn<() => Promise<string>>(fine);
    const call = breakers.run(name, preset as 'quick', fn, options as RunOptions);
    await expect(call).rejects.toThrow(BreakerInputError);
    await expect(call).rejects.toThrow(message);
    expect(fn).not.toHaveBeenCalled();
  });

  it.each([undefined, null, 'fine', 7, {}])('rejects %j in the place of the function', async (fn) => {
    const call = breakers.run('a', 'quick', fn as unknown as () => void);
    await expect(call).rejects.toThrow('fn must be a function, not');
  });

  it('takes a function that returns no promise, or throws at once, as await would', async () => {
    expect(await breakers.run('plain', 'quick', () => 7)).toBe(7);
    await expect(breakers.run('plain', 'quick', throwing)).rejects.toThrow(new RangeError('at once'));
  });

  it('gives up sooner when told to', async () => {
    const call = breakers.run('hanging', 'quick', hang, { timeoutMs: 10 });
    await expect(call).rejects.toMatchObject({ code: 'call_timeout', timeoutMs: 10 });
  });
});

describe('get', () => {
  it('refuses an unknown preset, a bad name, a nameless person and a bad time', async () => {
    expect(() => breakers.get('a', 'unheard' as 'quick')).toThrow(BreakerInputError);
    expect(() => breakers.get('', 'quick')).toThrow(BreakerInputError);
    const breaker = breakers.get('a', 'quick');
    await expect(breaker.forceOpen({ who: '' })).rejects.toThrow('who must be a string of 1 to 200 characters');
    await expect(breaker.forceOpen({ who: 'ada', forMs: 0 })).rejects.toThrow('forMs must be');
    await expect(breaker.reset({ who: 'ada', why: 'x'.repeat(501) })).rejects.toThrow('why must be');
    expect(breaker.state).toBe('closed');
  });
});

describe('a manual change', () => {
  it.each([
    [{ durationMs: 1_000 }, 'durationMs is not an option; there are who, why'],
    [null, 'options must be an object, not null'],
    ['ada', 'options must be an object, not "ada"'],
    [{ why: 'a\0b' }, 'why must not contain the character U+0000'],
    [{ who: 'a\0b' }, 'who must not contain the character U+0000'],
  ])('with %j is refused, and changes nothing', async (change, message) => {
    const breaker = breakers.get('untouched', 'quick');
    for (const act of [breaker.forceOpen, breaker.forceClosed, breaker.reset]) {
      await expect(act(change as never)).rejects.toThrow(BreakerInputError);
      await expect(act(change as never)).rejects.toThrow(message);
    }
    expect((await breaker.read()).state).toBe('closed');
  });

  it('of reset has no end', async () => {
    const change = { who: 'ada', forMs: 1_000 };
    await expect(breakers.get('untouched', 'quick').reset(change)).rejects.toThrow('forMs is not an option');
  });
});

describe('presets', () => {
  it('may be plain objects, stand beside the built-in ones, and take the place of one of the same name', async () => {
    const mine = { name: 'mine', trip: { strategy: 'consecutive', failures: 1 }, openMs: 5_000 } as const;
    const strict = { ...mine, name: 'storage' } as const;
    const own = createBreakers({ store: memoryStore(), presets: [mine, strict] });
    for (const preset of ['mine', 'storage'] as const) {
      await outcomeOf(own.run('a', preset, boom));
      expect(await outcomeOf(own.run('a', preset, fine))).toBe('circuit_open');
    }
    await outcomeOf(own.run('a', 'ai_provider', boom));
    expect(await outcomeOf(own.run('a', 'ai_provider', fine))).toBe('fine');
    await own.close();
  });

  it('without a timeout let a call take any time, and a probe hold its place for a minute', async () => {
    const endless = quick({ timeoutMs: false, openMs: 1, maxOpenMs: 1 });
    const own = createBreakers({ store: memoryStore(), presets: [endless] });
    for (let call = 0; call < 3; call += 1) await outcomeOf(own.run('a', 'quick', boom));
    await expect.poll(() => own.get('a', 'quick').snapshot().fleetState).toBe('open');
    await expect.poll(() => outcomeOf(own.run('a', 'quick', fine))).toBe('fine');
    await expect(own.run('b', 'quick', hang, { timeoutMs: 10 })).rejects.toMatchObject({ code: 'call_timeout' });
    expect(machineConfig(endless).leaseMs).toBe(61_000);
    await own.close();
  });
});

it('keeps what a metrics callback throws away from the calls, and warns once', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const metrics = { state: fail, call: fail, transition: fail, lease: fail, flush: fail, outage: fail, forget: fail };
  const own = createBreakers({ store: memoryStore(), presets: [quick()], metrics });
  expect(await own.run('a', 'quick', fine)).toBe('fine');
  expect(await outcomeOf(own.run('a', 'quick', boom))).toBe('boom');
  await own.close();
  expect(warn).toHaveBeenCalledOnce();
});

describe('checkName', () => {
  it.each(['a', 'runware', 'POST https://hooks.example/a?b=c', 'größe 🌊', 'x'.repeat(128)])('takes %j', (name) => {
    expect(() => checkName(name)).not.toThrow();
  });

  it.each(['', 'x'.repeat(129), 'a\nb', 'a\0', '\u007F', '\u0085', '\uD83C', undefined, null, 7, {}])(
    'refuses %j and says what it was',
    (name) => {
      expect(() => checkName(name)).toThrow(BreakerInputError);
      expect(() => checkName(name)).toThrow(/^name must/);
    },
  );
});
