import { describe, expect, it } from 'vitest';
import { type Given, outcomeCases } from '../../test/outcome-cases.ts';
import { headersAndRows, worded } from '../../test/outcome-table.ts';
import { defaultClassifier } from './classify.ts';

function outcomeOf(given: Given): string {
  const { ofResult, ofError } = defaultClassifier;
  return worded('gave' in given ? ofResult(given.gave) : ofError(given.threw, given.callerAborted ?? false));
}

describe('the table of outcomes in docs/breaker.md', () => {
  const { rows } = headersAndRows('| client | what it throws or gives');

  it('has a row for each case that is known, and no other', () => {
    expect(rows.map(([client, what]) => `${client}: ${what}`).toSorted()).toEqual(Object.keys(outcomeCases).toSorted());
  });

  it.each(rows)('is right of %s: %s', (client, what, counts) => {
    const given = outcomeCases[`${client}: ${what}`]?.() ?? [];
    expect(given.map(outcomeOf)).toEqual(given.map(() => counts));
    expect(given.length).toBeGreaterThan(0);
  });
});
