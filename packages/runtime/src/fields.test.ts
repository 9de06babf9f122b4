import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { anyRedisUrl, logLevel, postgresUrl, redisUrl, wholeNumber } from './fields.ts';

/** What a field says about a value, or nothing when it takes it. */
const complaint = (field: z.ZodType, value: unknown): string | undefined =>
  field.safeParse(value).error?.issues[0]?.message;

describe('redisUrl', () => {
  it.each(['redis://127.0.0.1:6379', 'rediss://me:s3cret@cache/1'])('takes %j', (value) => {
    expect(redisUrl.parse(value)).toBe(value);
  });

  it.each([undefined, 'localhost', 'redis://', 'http://127.0.0.1', ' redis://x'])('refuses %j', (value) => {
    expect(complaint(redisUrl, value)).toBe('a redis:// or rediss:// URL');
  });
});

describe('anyRedisUrl', () => {
  it.each(['redis://127.0.0.1:6379', 'redis-cluster://a:7000,b:7000', 'redis-sentinel://a,b/main'])(
    'takes %j',
    (value) => {
      expect(anyRedisUrl.parse(value)).toBe(value);
    },
  );

  it.each([undefined, 'localhost', 'redis-sentinel://a', 'http://127.0.0.1'])('refuses %j', (value) => {
    expect(complaint(anyRedisUrl, value)).toBe('a redis://, redis-cluster:// or redis-sentinel:// URL');
  });
});

describe('postgresUrl', () => {
  it.each(['postgres://db/x', 'postgresql://me:s3cret@db/x'])('takes %j', (value) => {
    expect(postgresUrl.parse(value)).toBe(value);
  });

  it.each([undefined, 'localhost', 'postgres://', 'postgre://db/x', 'mysql://db/x', 'postgres://db:port/x'])(
    'refuses %j',
    (value) => {
      expect(complaint(postgresUrl, value)).toBe('a postgres:// URL');
    },
  );

  it('takes the URL of a socket, and says how to write a # of a password', () => {
    expect(postgresUrl.parse('postgres://me@/x?host=/run/postgresql')).toContain('/run/postgresql');
    expect(complaint(postgresUrl, 'postgresql://u:p#ss@h/db')).toBe(
      'a postgres:// URL whose password has %23 for each #',
    );
  });
});

describe('wholeNumber', () => {
  const shards = wholeNumber(1, 4096);

  it.each([
    ['1', 1],
    ['0016', 16],
    ['4096', 4096],
  ])('reads %j', (value, number) => {
    expect(shards.parse(value)).toBe(number);
  });

  it.each([undefined, '0', '4097', '1.5', '-1', '+1', '0x10', '1e3', ' 1', 'many'])('refuses %j', (value) => {
    expect(complaint(shards, value)).toBe('a whole number from 1 to 4096');
  });

  it('reads no number that a double would round', () => {
    const any = wholeNumber(0, Number.MAX_SAFE_INTEGER);
    expect(any.parse('999999999999999')).toBe(999_999_999_999_999);
    expect(complaint(any, '9007199254740993')).toBe('a whole number from 0 to 9007199254740991');
  });
});

describe('logLevel', () => {
  it.each(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])('takes %j', (value) => {
    expect(logLevel.parse(value)).toBe(value);
  });

  it.each([undefined, 'loud', 'INFO'])('refuses %j and lists what there is', (value) => {
    expect(complaint(logLevel, value)).toBe('one of fatal, error, warn, info, debug, trace, silent');
  });
});
