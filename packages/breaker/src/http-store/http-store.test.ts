import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { boom, fine, outcomeOf, quick } from '../../test/breakers.ts';
import { baseConfig, failures, successes } from '../../test/machine.ts';
import { playApi, type PlayedApi } from '../../test/stores.ts';
import type { Breakers } from '../breakers/breaker.ts';
import { type BreakerExchange, breakerExchange } from '../exchange.ts';
import { type Action, unknownView, type View } from '../machine/record.ts';
import { type ApiFault, createBreakers, httpStore, type HttpStoreOptions } from './index.ts';

const redis = useRedis();
const soon = { timeout: 20_000 };

interface Started {
  readonly api: PlayedApi;
  readonly exchange: BreakerExchange;
  readonly faults: ApiFault[];
  make(options?: Partial<HttpStoreOptions>): Breakers<'quick' | 'ai_provider' | 'storage' | 'email' | 'webhook'>;
}

async function start(): Promise<Started> {
  const client = redis.connect(hotPathOptions);
  await vi.waitUntil(() => client.status === 'ready');
  const exchange = breakerExchange({ redis: client, deadlineMs: 5_000 });
  const api = await playApi(exchange);
  const faults: ApiFault[] = [];
  const made: Breakers[] = [];
  const onError = (fault: ApiFault): void => void faults.push(fault);
  onTestFinished(async () => {
    api.mood = 'cut';
    await Promise.all(made.map((breakers) => breakers.close()));
    await Promise.all([api.close(), exchange.close()]);
  });
  return {
    api,
    exchange,
    faults,
    make(options = {}) {
      const store = httpStore({ url: api.url, key: 'right', deadlineMs: 5_000, onError, ...options });
      const breakers = createBreakers({ store, presets: [quick({ quorum: 1 })] });
      made.push(breakers);
      return breakers;
    },
  };
}

const call = (breakers: Breakers<'quick'>, fn: () => Promise<unknown>, name = 'a'): Promise<unknown> =>
  outcomeOf(breakers.run(name, 'quick', fn));

async function fails(breakers: Breakers<'quick'>, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await call(breakers, boom);
}

describe('breakers over the API', () => {
  it('that one process opens refuse in another, which hears of it by asking', async () => {
    const { make } = await start();
    const [one, two] = [make(), make()];
    await call(two, fine);
    await fails(one, 3);
    await expect.poll(() => call(two, fine), soon).toBe('circuit_open');
    expect(two.get('a', 'quick').snapshot()).toMatchObject({ fleetState: 'open', isStale: false });
  });

  it('share trips: thirty-two commands of one turn go together, and calls through a closed breaker cause none', async () => {
    const { api, make } = await start();
    const breakers = make();
    const names = Array.from({ length: 40 }, (_, index) => `n${index}`);
    await Promise.all(names.map((name) => call(breakers, fine, name)));
    await expect.poll(() => api.asked.map(([, count]) => count).slice(0, 2)).toEqual([32, 8]);
    await expect.poll(() => breakers.snapshot().every(({ epoch }) => epoch > 0), soon).toBe(true);
    const trips = api.asked.length;
    for (let time = 0; time < 1_000; time += 1) await call(breakers, fine, 'n0');
    expect(api.asked.length - trips).toBeLessThan(20);
  });

  it('of one that was looked at and not used hear of its first use when they are asked again', async () => {
    const { make } = await start();
    const [one, two] = [make(), make()];
    expect((await one.get('a', 'quick').read()).epoch).toBe(0);
    await fails(two, 3);
    await expect.poll(() => one.get('a', 'quick').snapshot().fleetState, soon).toBe('open');
  });

  it('tell what they have counted when they are closed, and ask nothing more', async () => {
    const { api, make } = await start();
    const breakers = make();
    await call(breakers, fine);
    await breakers.close();
    const trips = api.asked.length;
    expect(api.asked.at(-1)?.[0]).toBe('/v1/breakers/commands');
    expect(await call(breakers, fine)).toBe('fine');
    expect(api.asked.length).toBe(trips);
  });
});

describe('while the API does not answer', () => {
  it.each([
    ['hang', 'no_answer', 'outage'],
    ['cut', 'not_connected', 'outage'],
    [500, 'error_answer', 'outage'],
    [429, 'busy', 'outage'],
    [401, 'authentication', 'installation'],
    [403, 'access_denied', 'installation'],
    [404, 'unknown_command', 'installation'],
    [302, 'unknown_command', 'installation'],
    [413, 'client_error', 'installation'],
    [{ text: '<html>' }, 'client_error', 'installation'],
    [{ text: '{"answers":[{"verdict":"pass","view":{"kind":"open"}}]}' }, 'client_error', 'installation'],
    [{ text: '{"answers":[{"unavailable":"unsent"}]}' }, 'error_answer', 'outage'],
  ] as const)(
    'by %j, each process opens and closes by its own counts, and %s is told once',
    async (mood, code, kind) => {
      const { api, faults, make } = await start();
      const breakers = make({ deadlineMs: mood === 'hang' ? 50 : 5_000 });
      api.mood = mood;
      expect(await call(breakers, fine)).toBe('fine');
      await expect.poll(() => breakers.get('a', 'quick').snapshot().isStale, soon).toBe(true);
      await fails(breakers, 3);
      expect(await call(breakers, fine)).toBe('circuit_open');
      await expect(breakers.get('a', 'quick').forceClosed()).rejects.toMatchObject({ code: 'store_unavailable' });
      expect(faults.filter((fault) => fault.code === code)).toMatchObject([{ code, kind }]);
      expect(String(faults)).not.toContain('right');
    },
  );

  it('a call never waits for longer than the deadline, and the fleet is joined again afterwards', async () => {
    const { api, make } = await start();
    const breakers = make({ deadlineMs: 200 });
    api.mood = 'hang';
    await call(breakers, fine);
    await expect.poll(() => breakers.get('a', 'quick').snapshot().isStale, soon).toBe(true);
    api.mood = 'works';
    await expect.poll(() => breakers.get('a', 'quick').snapshot().isStale, soon).toBe(false);
  });

  it('one command that the API refuses harms none of the others of its trip', async () => {
    const { api, make } = await start();
    api.mood = 400;
    const store = httpStore({ url: api.url, key: 'right', deadlineMs: 5_000, onError: () => undefined });
    const read = (name: string) =>
      store.execute(
        { preset: 'quick', name },
        { instance: 'i', config: baseConfig, known: unknownView, random: 0, action: { type: 'read' } },
      );
    const both = Promise.allSettled([read('a'), read('b')]);
    expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(api.asked.map(([, count]) => count)).toEqual([2, 1, 1]);
    make();
  });
});

describe('an exchange', () => {
  const id = { preset: 'quick', name: 'a' };

  async function act(exchange: BreakerExchange, actor: string | undefined, action: Action, known: View = unknownView) {
    const [answer] = await exchange.carryOut({ instance: 'i', actor }, [{ ...id, config: baseConfig, known, action }]);
    if (answer === undefined || 'unavailable' in answer) throw new Error('no answer');
    return answer;
  }

  it('names the sender as who changed something by hand, whatever the command says', async () => {
    const { exchange } = await start();
    const force: Action = { type: 'force', target: 'forced_open', forMs: 0, who: 'mallory', why: 'drill' };
    expect((await act(exchange, 'api-key:1', force)).view).toMatchObject({ kind: 'forced_open', who: 'api-key:1' });
  });

  it('puts back no forced state that somebody believes in who may not force it, and counts no report under it', async () => {
    const { exchange } = await start();
    const known: View = { ...unknownView, epoch: Date.now(), kind: 'forced_open', who: 'mallory', sinceMs: 1 };
    const single = { ...failures(3), samples: ['boom'] };
    expect((await act(exchange, undefined, { type: 'report', seq: 1, batch: single }, known)).view.kind).toBe('closed');
    const closed = { ...known, kind: 'forced_closed' as const };
    expect((await act(exchange, undefined, { type: 'read' }, closed)).view.kind).toBe('closed');
    expect((await act(exchange, 'ada', { type: 'read' }, { ...known, epoch: known.epoch + 9_999 })).view.kind).toBe(
      'forced_open',
    );
  });

  it('masks secrets in what failures said', async () => {
    const { exchange } = await start();
    const batch = failures(3, { samples: ['GET https://ada:secret@db.example failed'] });
    await act(exchange, undefined, { type: 'report', seq: 1, batch: { ...successes(0), ...batch } });
    const keys = await redis.client.keys('*outbox*');
    const streams = await Promise.all(
      keys.map(async (key) => ((await redis.client.type(key)) === 'stream' ? redis.client.xrange(key, '-', '+') : [])),
    );
    expect(JSON.stringify(streams)).toContain('***');
    expect(JSON.stringify(streams)).not.toContain('secret@');
  });
});

it.each([
  [{ url: 'http://limits.test' }, /^url must begin with https/u],
  [{ url: 'redis://limits.test' }, /^url must be an http or https URL/u],
  [{ key: 'a b' }, /^key must be a key of the API/u],
  [{ deadlineMs: 0 }, /^deadlineMs must be a whole number from 1 to 60000, not 0/u],
  [{ denyCacheMs: 1 }, /^denyCacheMs is not an option/u],
])('%j is refused at construction', (options, message) => {
  expect(() => httpStore({ url: 'https://limits.test', key: 'k', ...options })).toThrow(message);
});
