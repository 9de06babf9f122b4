import { describe, expect, it } from 'vitest';
import { CircuitOpenError } from '../errors.ts';
import { withFallback } from './breaker-set.ts';

const refusal = new CircuitOpenError({ breaker: 'b', preset: 'p', state: 'open', retryAfterMs: 5 });

function noCache(error: unknown): never {
  throw new Error('no cache either', { cause: error });
}

describe('withFallback', () => {
  it('changes nothing of a run that goes well', async () => {
    expect(await withFallback(Promise.resolve(1), 2)).toBe(1);
  });

  it('gives the value, or what the function makes of the error', async () => {
    expect(await withFallback(Promise.reject(refusal), 'cached')).toBe('cached');
    expect(await withFallback(Promise.reject(refusal), undefined)).toBeUndefined();
    expect(await withFallback<string>(Promise.reject(refusal), async (error) => String(error))).toBe(String(refusal));
  });

  it('may throw itself', async () => {
    await expect(withFallback(Promise.reject(refusal), noCache)).rejects.toMatchObject({ cause: refusal });
  });

  it("leaves the caller's own abort alone", async () => {
    const signal = AbortSignal.abort('enough');
    await expect(withFallback(Promise.reject(signal.reason), 'cached', signal)).rejects.toBe('enough');
  });
});
