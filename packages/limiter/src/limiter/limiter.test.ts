import { describe, expect, it } from 'vitest';
import type { Policy } from '../algorithms/registry.ts';
import { LimiterClosedError, LimiterInputError } from '../errors.ts';
import { definePolicy, tiers } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { createLimiter } from './create-limiter.ts';
import type { Limiter } from './limiter.ts';

const limiter = createLimiter({ store: memoryStore(), policies: tiers });
const anyPolicy: Limiter = limiter;

async function failure(work: Promise<unknown>): Promise<LimiterInputError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LimiterInputError);
  return error as LimiterInputError;
}

describe('bad input to consume', () => {
  const bad: readonly [string, string, unknown, Record<string, unknown>, string][] = [
    ['an unknown policy', 'generaton', 'u', {}, 'policy'],
    ['a policy named like an object’s own member', '__proto__', 'u', {}, 'policy'],
    ['an empty subject', 'strict', '', {}, 'subject'],
    ['a subject of 100 KB', 'strict', 'x'.repeat(100_000), {}, 'subject'],
    ['a subject of 1,026 bytes in 342 characters', 'strict', '€'.repeat(342), {}, 'subject'],
    ['a subject with a lone surrogate', 'strict', 'a\uD800', {}, 'subject'],
    ['a subject that is a number', 'strict', 7, {}, 'subject'],
    ['no subject', 'strict', undefined, {}, 'subject'],
    ['an empty action', 'strict', 'u', { action: '' }, 'action'],
    ['an action of 257 bytes', 'strict', 'u', { action: 'x'.repeat(257) }, 'action'],
    ['an action that is null', 'strict', 'u', { action: null }, 'action'],
    ['cost 0', 'strict', 'u', { cost: 0 }, 'cost'],
    ['a negative cost', 'strict', 'u', { cost: -1 }, 'cost'],
    ['a fractional cost', 'strict', 'u', { cost: 1.5 }, 'cost'],
    ['a cost that is no number', 'strict', 'u', { cost: Number.NaN }, 'cost'],
    ['a cost given as text', 'strict', 'u', { cost: '1' }, 'cost'],
    ['a cost above the limit', 'strict', 'u', { cost: 11 }, 'cost'],
  ];

  it.each(bad)('%s rejects and names the field', async (_name, policy, subject, options, field) => {
    const error = await failure(anyPolicy.consume(policy, subject as string, options));
    expect(error).toMatchObject({ code: 'invalid_input', field });
    expect(error.message.length).toBeLessThan(200);
  });

  it('takes the longest subject there may be', async () => {
    await expect(limiter.consume('strict', 'x'.repeat(1024))).resolves.toMatchObject({ allowed: true });
  });

  it('names the duration of a block that cannot be', async () => {
    for (const durationMs of [0, -5, 0.5, 2 ** 32]) {
      expect(await failure(limiter.block('strict', 'u', { durationMs }))).toMatchObject({ field: 'durationMs' });
    }
  });
});

describe('bad options', () => {
  const policy = { name: 'p', limit: 1, windowMs: 1 };
  it.each([
    [{ ...policy, name: 'Has Space' }, 'name'],
    [{ ...policy, name: 'a:b' }, 'name'],
    [{ ...policy, limit: 0 }, 'limit'],
    [{ ...policy, algorithm: 'sliding-log', limit: 10_001 }, 'limit'],
    [{ ...policy, algorithm: 'concurrency', limit: 10_001 }, 'limit'],
    [{ ...policy, limit: 1_000_000_001 }, 'limit'],
    [{ ...policy, algorithm: 'leaky-boat' }, 'algorithm'],
    [{ ...policy, algorithm: 'sliding-window', buckets: 1 }, 'buckets'],
    [{ ...policy, algorithm: 'token-bucket', burst: 0 }, 'burst'],
    [{ ...policy, algorithm: 'token-bucket', limit: 10_000_000, windowMs: 2 ** 31 }, 'burst'],
    [{ ...policy, algorithm: 'concurrency', blockMs: 1 }, 'blockMs'],
    [{ name: 'p', limit: 1, algorithm: 'quota', period: 'week' }, 'period'],
    [{ name: 'p', limit: 1, algorithm: 'quota', period: 'day', timeZone: 'Mars/Base' }, 'timeZone'],
    [{ name: 'p', limit: 1 }, 'windowMs'],
    [{ ...policy, limit: 2.5 }, 'limit'],
    [{ ...policy, windowMs: 0 }, 'windowMs'],
    [{ ...policy, windowMs: 2 ** 35 + 1 }, 'windowMs'],
    [{ ...policy, blockMs: -1 }, 'blockMs'],
    [{ ...policy, onUnavailable: 'maybe' }, 'onUnavailable'],
    [{ ...policy, mode: 'off' }, 'mode'],
  ])('definePolicy(%j) names %s', (options, field) => {
    expect(() => definePolicy(options as typeof policy)).toThrow(LimiterInputError);
    expect(() => definePolicy(options as typeof policy)).toThrow(field);
  });

  it.each([
    [{ policies: [] }, 'policies'],
    [{ policies: [...tiers, tiers[0]] }, 'policies'],
    [{ policies: tiers, deadlineMs: 0 }, 'deadlineMs'],
    [{ policies: tiers, shards: 5000 }, 'shards'],
    [{ policies: tiers, outboxCap: 1.5 }, 'outboxCap'],
    [{ policies: tiers, outboxCap: JSON.parse('null') }, 'outboxCap'],
    [{ policies: tiers, store: JSON.parse('null') }, 'store must be what'],
    [{ policies: tiers, store: JSON.parse('{}') }, 'store must be what'],
  ])('createLimiter refuses bad settings %#', (options, field) => {
    const make = (): unknown => createLimiter<readonly Policy[]>({ store: memoryStore(), ...options });
    expect(make).toThrow(LimiterInputError);
    expect(make).toThrow(field);
  });
});

describe('the built-in tiers', () => {
  it('are those of the guide', () => {
    expect(
      tiers.map(({ name, limit, windowMs, blockMs }) => [name, limit, windowMs / 60_000, blockMs / 60_000]),
    ).toEqual([
      ['strict', 10, 1, 5],
      ['standard', 100, 1, 1],
      ['generation', 20, 1, 2],
      ['auth', 5, 1, 15],
    ]);
  });
});

describe('a limiter that is closed', () => {
  it('answers by onUnavailable, tells so once, and closes twice without complaint', async () => {
    const policies = (['open', 'closed', 'local'] as const).map((onUnavailable) => ({
      name: onUnavailable,
      limit: 1,
      windowMs: 60_000,
      onUnavailable,
    }));
    const closing = createLimiter({ store: memoryStore(), policies });
    await closing.close();
    await closing.close();
    const warnings: unknown[] = [];
    const warned = (warning: Error & { code?: string }): void => void warnings.push(warning.code);
    process.on('warning', warned);
    const answers = [];
    for (const { name } of [...policies, ...policies]) answers.push(await closing.consume(name, 'u'));
    expect(answers.map(({ allowed }) => allowed)).toEqual([true, false, true, true, false, false]);
    expect(answers[0]).toMatchObject({ reason: 'unavailable' });
    expect(answers[5]).toMatchObject({ reason: 'limited', source: 'local' });
    expect(await closing.peek('open', 'u')).toMatchObject({ reason: 'unavailable' });
    const { allowed } = await closing.consumeAll([
      { policy: 'open', subject: 'u' },
      { policy: 'closed', subject: 'u' },
    ]);
    expect(allowed).toBe(false);
    await new Promise((told) => setImmediate(told));
    process.off('warning', warned);
    expect(warnings).toEqual(['SPILLWAY_LIMITER_CLOSED']);
  });

  it('ends those who wait for a request to fit, and those behind them', async () => {
    const closing = createLimiter({ store: memoryStore(), policies: [{ name: 'p', limit: 1, windowMs: 60_000 }] });
    await closing.consume('p', 'u');
    const wait = (): Promise<unknown> => closing.waitFor('p', 'u', { maxWaitMs: 100_000 }).catch((error) => error);
    const waiters = [wait(), wait(), wait()];
    await closing.peek('p', 'u');
    await closing.close();
    expect(await Promise.all(waiters)).toEqual(Array.from({ length: 3 }, () => expect.any(LimiterClosedError)));
  });

  it('refuses changes', async () => {
    const closing = createLimiter({ store: memoryStore(), policies: tiers });
    await closing.close();
    await expect(closing.block('strict', 'u')).rejects.toBeInstanceOf(LimiterClosedError);
    await expect(closing.waitFor('strict', 'u', { maxWaitMs: 1 })).rejects.toBeInstanceOf(LimiterClosedError);
  });
});
