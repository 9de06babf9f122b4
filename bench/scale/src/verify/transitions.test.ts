import { describe, expect, it } from 'vitest';
import { checkTransitions, type StoredTransition, type TransitionsOptions } from './transitions.ts';

const row = (eventType: string, epoch: number): StoredTransition => ({ eventType, epoch });

const whole: TransitionsOptions = {
  heard: [
    { state: 'open', epoch: 10 },
    { state: 'open', epoch: 10 },
    { state: 'open', epoch: 30 },
    { state: 'closed', epoch: 50 },
  ],
  stored: [row('closed', 50), row('opened', 10), row('half_open', 20), row('opened', 30), row('half_open', 40)],
  last: { state: 'closed', epoch: 50 },
};

describe('checkTransitions', () => {
  it('passes a whole trail, in whichever order its rows come', () => {
    expect(checkTransitions(whole)).toMatchObject({ passed: true, details: [] });
  });

  it.each<[string, Partial<TransitionsOptions>, string]>([
    ['a row is missing', { stored: whole.stored.slice(0, 4) }, 'closed after opened'],
    ['two rows are missing', { stored: whole.stored.slice(0, 3) }, 'no row: opened in epoch 30'],
    ['a row appears twice', { stored: [...whole.stored, row('opened', 30)] }, 'opened after opened'],
    ['it never opened', { heard: [], stored: [] }, 'it was never opened'],
    ['it is open in the end', { last: { state: 'open', epoch: 50 } }, 'the breaker is open at the end'],
    ['Redis knows of one more', { last: { state: 'closed', epoch: 60 } }, 'the last row has epoch 50, Redis 60'],
  ])('fails when %s', (_, change, problem) => {
    const { passed, details } = checkTransitions({ ...whole, ...change });
    expect(passed).toBe(false);
    expect(details?.join('\n')).toContain(problem);
  });
});
