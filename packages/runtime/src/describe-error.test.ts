import { describe, expect, it } from 'vitest';
import { describeError, maskValues } from './describe-error.ts';

describe('describeError', () => {
  it('leaves what it described as it is: a logger above another describes once more', () => {
    const facts = describeError(new Error('lost', { cause: new Error('below') }));
    expect(describeError(facts)).toBe(facts);
    expect(describeError({ message: 'postgres://ada:secret@db' })).toEqual({ message: '[object Object]' });
  });

  it('leaves out the arguments of a Redis command, and the detail of Postgres', () => {
    const error = Object.assign(new Error('WRONGPASS invalid username-password pair', { cause: new Error('below') }), {
      command: { name: 'hello', args: ['3', 'AUTH', 'app', 'S3cret'] },
      detail: 'Failing row contains (ada@example.org)',
      code: '23514',
    });
    const facts = describeError(error);
    expect(facts).toMatchObject({ type: 'Error', code: '23514', cause: { message: 'below' } });
    expect(JSON.stringify(facts)).not.toMatch(/S3cret|ada@/u);
  });

  it('ends on an error that is its own cause', () => {
    const circle = new Error('circle');
    circle.cause = circle;
    expect(JSON.stringify(describeError(circle))).toContain('circle');
  });

  it.each([undefined, null, 'text', { password: 'S3cret' }])('says what %j is, and no more', (thrown) => {
    expect(JSON.stringify(describeError(thrown))).not.toContain('S3cret');
  });
});

describe('maskValues', () => {
  it.each([
    [
      'Request cannot be constructed from a URL that includes credentials: https://bot:S3cret@example.org/x',
      'example.org',
    ],
    ["ERR unknown command 'EVALSHA2', with args beginning with: 'S3cret' 'more'", 'EVALSHA2'],
    ['invalid input syntax for type uuid: "S3cret"', 'uuid'],
    ['value "S3cret" is out of range for type integer', 'integer'],
    ['date/time field value out of range: "2024-01-01"', 'out of range'],
    ['connect to redis://:S3cret@cache:6379 failed', 'cache:6379'],
    ['DETAIL: Key (identifier)=(S3cret) already exists.', 'DETAIL'],
  ])('%s', (text, kept) => {
    expect(maskValues(text)).not.toContain('S3cret');
    expect(maskValues(text)).toContain(kept);
  });

  it('leaves other messages as they are', () => {
    for (const text of [
      'connect ECONNREFUSED 127.0.0.1:6379',
      "OOM command not allowed when used memory > 'maxmemory'.",
    ]) {
      expect(maskValues(text)).toBe(text);
    }
  });
});
