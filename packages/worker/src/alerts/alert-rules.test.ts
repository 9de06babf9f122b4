import type { Sample } from '@spillway/db';
import { expect, it } from 'vitest';
import { compare, defaultAlertRules } from './alert-rules.ts';

function sample(name: string, value: number, tags: Record<string, string> = {}): Sample {
  return { name, value, unit: 'ms', tags };
}

it('a value at its threshold is met, one beyond it violates', () => {
  const rules = [{ rule: 'r', metric: 'm', above: 10, below: 5 }];
  const broken = (value: number): number[] =>
    compare(rules, [sample('m', value)]).violations.map((each) => each.threshold);
  expect([4, 5, 10, 11].map(broken)).toEqual([[5], [], [], [10]]);
});

it('each tag has an alert of its own, and a rule may be for one tag only', () => {
  const rules = [
    { rule: 'late', metric: 'age', tags: { job: 'a' }, above: 1 },
    { rule: 'any', metric: 'age', above: 7 },
  ];
  const samples = [sample('age', 5, { job: 'a' }), sample('age', 9, { job: 'b' })];
  const { violations, met } = compare(rules, samples);
  expect(violations.map(({ rule }) => rule)).toEqual(['late/a', 'any/b']);
  expect(met).toEqual(['any/a']);
});

it('a rule whose metric nobody measured is neither met nor violated', () => {
  expect(compare(defaultAlertRules, [])).toEqual({ violations: [], met: [] });
});
