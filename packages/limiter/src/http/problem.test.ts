import { describe, expect, it } from 'vitest';
import { toDecision, unavailableDecision } from '../decision.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { guard } from './guard.ts';
import { denialProblem } from './problem.ts';

const burst = definePolicy({ name: 'burst', limit: 10, windowMs: 1_000, onUnavailable: 'closed' });
const daily = definePolicy({ name: 'daily', limit: 1_000, windowMs: 86_400_000 });
const NOW = 1_800_000_000_000;
const kind = (name: string): string => `https://iana.org/assignments/http-problem-types#${name}`;

describe('denialProblem', () => {
  it('is quota-exceeded where a window is full', () => {
    expect(denialProblem(toDecision(burst, 1, 2, 900, 400, NOW))).toEqual({
      status: 429,
      type: kind('quota-exceeded'),
      title: 'Rate limit exceeded',
      detail: 'The limit of 10 is used up. Try again in 1 s.',
      'violated-policies': ['burst'],
      error: 'Rate limit exceeded',
      limit: 10,
      remaining: 2,
      retryAfter: 1,
    });
  });

  it('is abnormal-usage-detected behind a block, with its end where there is one', () => {
    expect(denialProblem(toDecision(burst, 3, 0, 5_000, 5_000, NOW))).toMatchObject({
      status: 429,
      type: kind('abnormal-usage-detected'),
      detail: 'A block is in force. Try again in 5 s.',
      blockedUntil: '2027-01-15T08:00:05.000Z',
    });
    const forever = denialProblem(toDecision(burst, 3, 0, Infinity, Infinity, NOW));
    expect(forever).toMatchObject({ detail: 'A block is in force. No end is set.', retryAfter: null });
    expect(forever).not.toHaveProperty('blockedUntil');
  });

  it('is temporary-reduced-capacity where no decision could be had', () => {
    expect(denialProblem(unavailableDecision(burst, 'no_answer'))).toMatchObject({
      status: 503,
      type: kind('temporary-reduced-capacity'),
      retryAfter: 1,
    });
  });

  it('names all violated policies of one request and speaks of the longest wait', () => {
    const full = toDecision(burst, 1, 0, 900, 400, NOW);
    const used = toDecision(daily, 1, 3, 3_600_000, 1_800_000, NOW);
    const fits = toDecision(definePolicy({ ...burst, name: 'other' }), 4, 5, 100, 0, NOW);
    expect(denialProblem([full, used, fits])).toMatchObject({
      status: 429,
      type: kind('quota-exceeded'),
      'violated-policies': ['burst', 'daily'],
      limit: 1_000,
      retryAfter: 1_800,
    });
    expect(denialProblem([unavailableDecision(burst, 'no_answer'), used])).toMatchObject({
      status: 429,
      'violated-policies': ['daily'],
    });
  });
});

it('says nothing in headers or body of who was refused', async () => {
  const limiter = createLimiter({
    store: memoryStore(),
    policies: [definePolicy({ name: 'one', limit: 1, windowMs: 60_000 })],
  });
  const options = { limiter, policy: 'one', identify: () => 'ip:192.0.2.7' };
  const request = new Request('http://api.test/', { headers: { 'X-API-Key': 'sk-secret' } });
  await guard(request, options);
  const result = await guard(request, options);
  if (result.kind !== 'refused') throw new Error('it was admitted');
  const everything = JSON.stringify([...result.response.headers]) + (await result.response.text());
  expect(everything).not.toMatch(/192\.0\.2\.7|sk-secret|;pk=/);
});
