import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Choices, frameworks } from '../../test/guarded-frameworks.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { RateLimitInfo } from './guard-options.ts';
import { guard } from './guard.ts';
import { plans } from './plans.ts';

const policies = [
  { name: 'free', limit: 2, windowMs: 60_000 },
  { name: 'pro', limit: 4, windowMs: 60_000 },
  { name: 'closed', limit: 2, windowMs: 60_000, onUnavailable: 'closed' as const },
];
const limiterOf = (): Limiter => createLimiter({ store: memoryStore(), policies });

function failing(): never {
  throw new Error('plans are down');
}

const ask = async (url: string, headers: Record<string, string> = {}): Promise<Response> => fetch(url, { headers });

async function statuses(url: string, count: number, headers: Record<string, string> = {}): Promise<number[]> {
  const found: number[] = [];
  for (let request = 0; request < count; request += 1) {
    const answer = await ask(url, headers);
    await answer.text();
    found.push(answer.status);
  }
  return found;
}

describe.each(Object.entries(frameworks))('a guard of %s', (framework, start) => {
  it('takes policy, action and cost from functions of the request', async () => {
    const url = await start(
      limiterOf(),
      {
        policy: async (header, subject) => (subject === 'ada' ? header('x-plan') : 'nobody'),
        cost: (header) => Number(header('x-cost') || 1),
        action: (header) => header('x-action') || 'default',
      },
      () => undefined,
    );
    expect(await statuses(url, 3, { 'x-plan': 'free' })).toEqual([200, 200, 429]);
    expect(await statuses(url, 3, { 'x-plan': 'pro', 'x-cost': '2' })).toEqual([200, 200, 429]);
    expect(await statuses(url, 1, { 'x-plan': 'pro', 'x-action': 'upload' })).toEqual([200]);
  });

  it('lets pass what it skips, uncharged and without headers', async () => {
    const url = await start(limiterOf(), { skip: async (header) => header('x-health') === 'yes' }, () => undefined);
    expect(await statuses(url, 4, { 'x-health': 'yes' })).toEqual([200, 200, 200, 200]);
    expect((await ask(url, { 'x-health': 'yes' })).headers.get('RateLimit')).toBeNull();
    expect((await ask(url)).headers.get('RateLimit')).toBe('"free";r=1;t=60');
  });

  it('sends the headers that were chosen', async () => {
    const sent: Record<string, (string | null)[]> = {};
    for (const headers of ['draft', 'legacy', 'both', 'none'] as const) {
      const url = await start(limiterOf(), { headers }, () => undefined);
      await statuses(url, 2);
      const { headers: found } = await ask(url);
      sent[headers] = ['RateLimit', 'X-RateLimit-Remaining', 'Retry-After'].map((name) => found.get(name));
    }
    expect(sent).toEqual({
      draft: ['"free";r=0;t=60', null, '60'],
      legacy: [null, '0', '60'],
      both: ['"free";r=0;t=60', '0', '60'],
      none: [null, null, null],
    });
  });

  it('tells the handler what it decided', async () => {
    const told: (RateLimitInfo | undefined)[] = [];
    const url = await start(limiterOf(), { policy: () => ['pro', 'free'] }, (info) => told.push(info));
    await statuses(url, 1);
    expect(told).toMatchObject([
      {
        subject: 'ada',
        decision: { policy: 'free', remaining: 1 },
        decisions: [{ policy: 'pro' }, { policy: 'free' }],
      },
    ]);
  });

  it('gives back the units of an answer that does not count, and of no other', async () => {
    const limiter = limiterOf();
    const url = await start(limiter, { chargeIf: async (status) => status < 400 }, () => undefined);
    expect(await statuses(url, 3, { 'x-status': '404' })).toEqual([404, 404, 404]);
    await expect.poll(async () => (await limiter.peek('free', 'ada')).remaining).toBe(2);
    expect(await statuses(url, 3)).toEqual([200, 200, 429]);
  });

  it('answers refused requests as it is told, with its headers', async () => {
    const url = await start(
      limiterOf(),
      { onRefused: async ({ problem, rateLimit }) => `${problem.status}: ${rateLimit?.decision.policy} is full` },
      () => undefined,
    );
    expect(await statuses(url, 2)).toEqual([200, 200]);
    const refused = await ask(url);
    expect([refused.status, await refused.text(), refused.headers.get('Retry-After')]).toEqual([
      418,
      '429: free is full',
      '60',
    ]);
  });

  const ways: readonly [string, () => never | Promise<never>][] = [
    ['throws', failing],
    ['rejects with', async () => failing()],
  ];
  const choosers = ['policy', 'action', 'cost', 'skip'] as const;

  it.each(ways.flatMap(([way, fail]) => choosers.map((name) => [name, way, fail] as const)))(
    'hands on what its %s %s, and admits nothing; or goes by onUnavailable where it is told to',
    async (name, _way, fail) => {
      const warned = vi.spyOn(process, 'emitWarning').mockReturnValue();
      onTestFinished(() => warned.mockRestore());
      const closed: Choices = { policy: () => 'closed', [name]: fail };
      const thrown = await start(limiterOf(), closed, () => expect.unreachable());
      const answer = await ask(thrown);
      expect([answer.status, await answer.text()]).toEqual([500, 'plans are down']);
      expect(warned).not.toHaveBeenCalled();
      const away = await start(limiterOf(), { ...closed, onError: 'unavailable' }, () => expect.unreachable());
      expect(await statuses(away, 2)).toEqual([503, 503]);
      expect(warned).toHaveBeenCalledOnce();
    },
  );

  it.each(ways)('hands on what its onRefused %s', async (_way, onRefused) => {
    const url = await start(limiterOf(), { onRefused, onError: 'unavailable' }, () => undefined);
    expect(await statuses(url, 2)).toEqual([200, 200]);
    const answer = await ask(url);
    expect([answer.status, await answer.text()]).toEqual([500, 'plans are down']);
  });

  it
    .runIf(framework !== '(Request) => Response')
    .each<[string, () => never]>([
      ...(ways as readonly [string, () => never][]),
      ['gives no boolean from', () => undefined as never],
    ])('lets the charge stand where it %s chargeIf, and warns of it once', async (_way, chargeIf) => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue();
    onTestFinished(() => warned.mockRestore());
    const url = await start(limiterOf(), { chargeIf, policy: () => 'pro' }, () => undefined);
    expect(await statuses(url, 5)).toEqual([200, 200, 200, 200, 429]);
    await expect.poll(() => warned.mock.calls.length).toBe(1);
    expect(warned).toHaveBeenCalledWith(expect.stringMatching(/plans are down|chargeIf/u), expect.anything());
  });

  it('takes a policy that nobody knows for a fault of the program', async () => {
    const url = await start(limiterOf(), { policy: () => 'gold' }, () => expect.unreachable());
    const answer = await ask(url);
    expect([answer.status, await answer.text()]).toEqual([500, expect.stringContaining('must be one of free, pro')]);
  });

  it('goes by onUnavailable where a function fails and it is told to, and warns of it once', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue();
    onTestFinished(() => warned.mockRestore());
    const open = await start(limiterOf(), { skip: failing, onError: 'unavailable' }, () => undefined);
    expect(await statuses(open, 3)).toEqual([200, 200, 200]);
    const unknown = await start(limiterOf(), { policy: failing, onError: 'unavailable' }, () => expect.unreachable());
    expect(await statuses(unknown, 2)).toEqual([503, 503]);
    expect(warned).toHaveBeenCalledWith(expect.stringContaining('plans are down'), expect.anything());
  });

  // Those were found by consume() and gave 500, whatever `onError` said.
  it.each<[string, Choices]>([
    ['a cost that is no number', { cost: () => Number.NaN }],
    ['a cost of nothing', { cost: () => 0 }],
    ['a part of a unit', { cost: () => 1.5 }],
    ['a cost above the limit', { cost: () => 99 }],
    ['an empty action', { action: () => '' }],
    ['a long action', { action: () => 'x'.repeat(300) }],
    ['a policy twice', { policy: () => ['closed', 'closed'] }],
  ])('goes by onUnavailable where a function chose %s, and fails otherwise', async (_name, choices) => {
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue();
    onTestFinished(() => warned.mockRestore());
    const away = await start(limiterOf(), { policy: () => 'closed', ...choices, onError: 'unavailable' }, () =>
      expect.unreachable(),
    );
    expect(await statuses(away, 2)).toEqual([503, 503]);
    expect(warned).toHaveBeenCalledOnce();
    const thrown = await start(limiterOf(), choices, () => expect.unreachable());
    expect(await statuses(thrown, 1)).toEqual([500]);
  });
});

it('a subject that is too long gets 400, and is kept by no function that chooses', async () => {
  const lookup = vi.fn<() => string>(() => 'free');
  const request = new Request('http://app.test/');
  for (const onError of ['throw', 'unavailable'] as const) {
    const result = await guard(request, {
      limiter: limiterOf(),
      identify: () => 'x'.repeat(1_025),
      policy: plans({ lookup, fallback: 'free' }),
      onError,
    });
    expect(result.kind === 'refused' && result.response.status).toBe(400);
  }
  expect(lookup).not.toHaveBeenCalled();
});
