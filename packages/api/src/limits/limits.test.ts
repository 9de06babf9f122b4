import { describe, expect, it } from 'vitest';
import { useApi } from '../../test/use-api.ts';

const api = useApi();
const post = async (operation: string, body: unknown, policy = 'ten'): Promise<Response> =>
  api.ask('POST', `/v1/limits/${policy}/${operation}`, { body });
const answer = async (operation: string, body: unknown, policy = 'ten'): Promise<unknown> =>
  (await post(operation, body, policy)).json();

const together = async (requests: unknown): Promise<Response> =>
  api.ask('POST', '/v1/limits/consume-all', { body: { requests } });

describe('a batch', () => {
  it('is decided request by request, in order', async () => {
    const requests = [
      { subject: 'a', cost: 7 },
      { subject: 'a', cost: 7 },
      { subject: 'b', action: 'write' },
      { subject: 'a', cost: 3 },
    ];
    expect(await answer('batch', { requests })).toMatchObject({
      decisions: [
        { allowed: true, remaining: 3 },
        { allowed: false, remaining: 3, reason: 'limited' },
        { allowed: true, remaining: 9 },
        { allowed: true, remaining: 0 },
      ],
    });
  });

  it('charges nothing when one request cannot be read', async () => {
    for (const bad of [{ subject: '' }, { subject: 'b', cost: 11 }, { subject: 'b', cots: 1 }, { action: 'x' }, 5]) {
      const response = await post('batch', { requests: [{ subject: 'a' }, bad] });
      expect(response.status).toBe(400);
      const { errors } = (await response.json()) as { errors: { field: string }[] };
      expect(errors.map(({ field }) => field)).toEqual([expect.stringMatching(/^requests\.1/)]);
    }
    expect(await answer('peek', { subject: 'a' })).toMatchObject({ remaining: 10 });
  });

  it.each([
    [{ requests: [] }, 'must hold 1 to 100 requests'],
    [{ requests: Array.from({ length: 101 }, () => ({ subject: 'a' })) }, 'must hold 1 to 100 requests'],
    [{ requests: 'a' }, 'must be a list'],
  ])('is refused when it is %j', async (body, detail) => {
    const response = await post('batch', body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ field: 'requests', detail }] });
  });
});

it('peek answers as consume would, and charges nothing', async () => {
  await post('consume', { subject: 'a', cost: 8 });
  const first = await post('peek', { subject: 'a', cost: 3 });
  expect(await first.json()).toMatchObject({ allowed: false, remaining: 2 });
  expect(await answer('peek', { subject: 'a', cost: 2 })).toMatchObject({ allowed: true, remaining: 2 });
});

it('puts the headers for the subject into the decision and none of them on the answer to the caller', async () => {
  const headers = {
    'RateLimit-Policy': '"ten";q=10;w=60',
    RateLimit: expect.stringMatching(/^"ten";r=2;t=\d+$/u),
    'X-RateLimit-Limit': '10',
    'X-RateLimit-Remaining': '2',
  };
  const refused = { ...headers, 'Retry-After': expect.stringMatching(/^\d+$/u) };
  const allowed = await post('consume', { subject: 'a', cost: 8 });
  const denied = await post('consume', { subject: 'a', cost: 3 });
  const peeked = await post('peek', { subject: 'a', cost: 3 });
  const requests = [{ subject: 'a', cost: 3 }];
  const batch = await post('batch', { requests, headers: true });
  const [plain] = ((await answer('batch', { requests })) as { decisions: object[] }).decisions;
  expect(plain).not.toHaveProperty('headers');
  for (const { headers: sent } of [allowed, denied, peeked, batch]) {
    expect([...sent.keys()].filter((name) => /ratelimit|retry-after/iu.test(name))).toEqual([]);
  }
  expect(await allowed.json()).toMatchObject({ headers });
  expect(await denied.json()).toMatchObject({ headers: refused });
  expect(await peeked.json()).toMatchObject({ headers: refused });
  expect(await batch.json()).toMatchObject({ decisions: [{ headers: refused }] });
});

it('reset forgets what was used', async () => {
  await post('consume', { subject: 'a', cost: 10 });
  expect((await post('reset', { subject: 'a' })).status).toBe(204);
  expect(await answer('peek', { subject: 'a' })).toMatchObject({ allowed: true, remaining: 10 });
});

it('block refuses a subject for a time or without an end, and unblock lifts it', async () => {
  const { blockedUntilMs } = (await answer('block', { subject: 'a', durationMs: 60_000 })) as {
    blockedUntilMs: number;
  };
  expect(blockedUntilMs).toBeGreaterThan(Date.now() + 30_000);
  expect(await answer('consume', { subject: 'a' })).toMatchObject({
    allowed: false,
    reason: 'blocked',
    blockedUntilMs,
  });
  expect(await answer('unblock', { subject: 'a' })).toEqual({ wasBlocked: true });
  expect(await answer('unblock', { subject: 'a' })).toEqual({ wasBlocked: false });
  expect(await answer('consume', { subject: 'a' })).toMatchObject({ allowed: true });
  expect(await answer('block', { subject: 'a' })).toEqual({ blockedUntilMs: null });
});

it('a slot of a concurrency policy is held until it is released', async () => {
  const { slot } = (await answer('consume', { subject: 'a' }, 'slots')) as { slot: string };
  expect(await answer('consume', { subject: 'a' }, 'slots')).toMatchObject({ allowed: false });
  expect((await post('release', { subject: 'a', slot }, 'slots')).status).toBe(204);
  expect(await answer('consume', { subject: 'a' }, 'slots')).toMatchObject({ allowed: true });
  expect((await post('release', { subject: 'a', slot: 'nonsense!' }, 'slots')).status).toBe(400);
  expect((await post('release', { subject: 'a', slot }, 'ten')).status).toBe(400);
});

it('an unknown policy is 404 for every operation', async () => {
  for (const operation of ['consume', 'peek', 'reset', 'block', 'unblock']) {
    expect((await post(operation, { subject: 'a' }, 'nope')).status).toBe(404);
  }
});

it('renew keeps a slot, and answers 204 also when it is lost', async () => {
  const { slot } = (await answer('consume', { subject: 'a' }, 'slots')) as { slot: string };
  expect((await post('renew', { subject: 'a', slot }, 'slots')).status).toBe(204);
  expect(await answer('peek', { subject: 'a' }, 'slots')).toMatchObject({ allowed: false });
  await post('release', { subject: 'a', slot }, 'slots');
  expect((await post('renew', { subject: 'a', slot }, 'slots')).status).toBe(204);
  expect((await post('renew', { subject: 'a', slot }, 'ten')).status).toBe(400);
  expect((await post('renew', { subject: 'a' }, 'slots')).status).toBe(400);
});

it('penalize charges what does not fit, and reward gives units back', async () => {
  await post('consume', { subject: 'a', cost: 8 });
  expect(await answer('penalize', { subject: 'a', cost: 5 })).toMatchObject({ policy: 'ten', remaining: 0 });
  await post('reset', { subject: 'a' });
  await post('consume', { subject: 'a', cost: 8 });
  expect(await answer('reward', { subject: 'a', cost: 3 })).toMatchObject({ remaining: 5 });
  for (const operation of ['penalize', 'reward']) {
    expect((await post(operation, { subject: 'a', cost: 0 })).status).toBe(400);
    expect((await post(operation, { subject: 'a' }, 'none')).status).toBe(404);
  }
});

it('sends times as whole milliseconds', async () => {
  await api.limiter.block('ten', 'a', { durationMs: 12_345 });
  const decision = (await answer('consume', { subject: 'a' })) as Record<string, number>;
  expect(decision['decidedAtMs']).toBe((decision['resetAtMs'] ?? 0) - (decision['resetAfterMs'] ?? 0));
  for (const name of ['decidedAtMs', 'resetAtMs', 'resetAfterMs', 'retryAfterMs', 'blockedUntilMs']) {
    expect([name, decision[name]]).toEqual([name, expect.toSatisfy(Number.isInteger)]);
  }
});

describe('consume-all', () => {
  it('charges all or none, and says which policies refused', async () => {
    const requests = [
      { policy: 'ten', subject: 'a', cost: 6 },
      { policy: 'slots', subject: 'a' },
    ];
    expect(await (await together(requests)).json()).toMatchObject({
      allowed: true,
      refusedBy: [],
      decisions: [
        { policy: 'ten', remaining: 4 },
        { policy: 'slots', slot: expect.any(String) as string },
      ],
      headers: { 'RateLimit-Policy': '"ten";q=10;w=60, "slots";q=1;w=60' },
    });
    const second = await together([{ policy: 'ten', subject: 'a', cost: 1 }, requests[1]]);
    expect([second.status, await second.json()]).toMatchObject([
      200,
      { allowed: false, refusedBy: ['slots'], decisions: [{ reason: 'withheld' }, { reason: 'limited' }] },
    ]);
    expect(await answer('peek', { subject: 'a' })).toMatchObject({ remaining: 4 });
  });

  it.each([
    [[{ policy: 'none', subject: 'a' }], 404, 'policy'],
    [[{ subject: 'a' }], 400, 'requests.0.policy'],
    [[{ policy: 'ten', subject: '' }], 400, 'requests.0.subject'],
    [
      [
        { policy: 'ten', subject: 'a' },
        { policy: 'ten', subject: 'a' },
      ],
      400,
      'requests',
    ],
    [Array.from({ length: 65 }, (_, index) => ({ policy: 'ten', subject: `s${index}` })), 400, 'requests'],
    [[], 400, 'requests'],
  ])('refuses %j with %i and names %s', async (requests, status, field) => {
    const response = await together(requests);
    expect([response.status, await response.json()]).toMatchObject([status, { errors: [{ field }] }]);
  });
});
