import { describe, expect, it, vi } from 'vitest';
import { plans } from './plans.ts';

const planOf = (subject: string): string | string[] => (subject === 'both' ? ['pro', 'standard'] : subject);

describe('plans', () => {
  it('looks a subject up once for requests that come together, and keeps the answer', async () => {
    const lookup = vi.fn<(subject: string, of: string) => Promise<string | undefined>>(async (subject) =>
      subject === 'ada' ? 'pro' : undefined,
    );
    const policy = plans({ lookup, fallback: 'free' });
    expect(await Promise.all([policy('request', 'ada'), policy('request', 'ada')])).toEqual(['pro', 'pro']);
    expect([await policy('request', 'ada'), await policy('request', 'bob'), await policy('request', 'bob')]).toEqual([
      'pro',
      'free',
      'free',
    ]);
    expect(lookup.mock.calls).toEqual([
      ['ada', 'request'],
      ['bob', 'request'],
    ]);
  });

  it('gives the policies that a plan stands for now, and takes other names for policies', async () => {
    const named = new Map([['pro', ['standard', 'generation']]]);
    const policy = plans({ lookup: planOf, fallback: 'free', live: { plan: (name) => named.get(name) } });
    expect(await policy('request', 'pro')).toEqual(['standard', 'generation']);
    expect(await policy('request', 'both')).toEqual(['standard', 'generation']);
    expect(await policy('request', 'strict')).toBe('strict');
    named.set('pro', ['standard']);
    expect(await policy('request', 'pro')).toEqual(['standard']);
  });

  it('keeps no more answers than it may', async () => {
    const lookup = vi.fn<() => string>(() => 'pro');
    const policy = plans({ lookup, fallback: 'free', max: 1 });
    for (const subject of ['ada', 'bob', 'ada']) await policy('request', subject);
    expect(lookup).toHaveBeenCalledTimes(3);
  });

  it('keeps the last plan while lookups fail, and fails where it has none', async () => {
    const lookup = vi.fn<() => Promise<string>>().mockResolvedValueOnce('pro').mockRejectedValue(new Error('down'));
    const policy = plans({ lookup, fallback: 'free', ttlMs: 1 });
    expect(await policy('request', 'ada')).toBe('pro');
    const asked = async (): Promise<number> => {
      expect(await policy('request', 'ada')).toBe('pro');
      return lookup.mock.calls.length;
    };
    await expect.poll(asked).toBeGreaterThan(1);
    await expect(policy('request', 'bob')).rejects.toThrow('down');
  });

  it.each([
    [{ lookup: 'pro' }, 'lookup'],
    [{ fallback: undefined }, 'fallback'],
    [{ ttlMs: 0 }, 'ttlMs'],
    [{ max: 1.5 }, 'max'],
    [{ size: 5 }, 'size'],
    [{ live: true }, 'live'],
    [{ live: null }, 'live'],
  ])('refuses %j at construction', (wrong, field) => {
    expect(() => plans({ lookup: () => 'pro', fallback: 'free', ...wrong } as never)).toThrow(field);
  });
});
