import { describe, expect, it } from 'vitest';
import { checkName } from './checks.ts';
import { BreakerInputError } from './errors.ts';

describe('checkName', () => {
  it.each(['a', 'runware', 'POST https://hooks.example/a?b=c', 'größe 🌊', 'x'.repeat(128)])('takes %j', (name) => {
    expect(() => checkName(name)).not.toThrow();
  });

  it.each(['', 'x'.repeat(129), 'a\nb', 'a\0', '\u007F', '\u0085', '\uD83C', undefined, null, 7, {}])(
    'refuses %j and says what it was',
    (name) => {
      expect(() => checkName(name)).toThrow(BreakerInputError);
      expect(() => checkName(name)).toThrow(/^name must/);
    },
  );
});
