import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ConfigError } from './config-error.ts';
import { postgresUrl, redisUrl, wholeNumber } from './fields.ts';
import { readEnvironment } from './read-environment.ts';

const variables = z.object({
  REDIS_URL: redisUrl,
  DATABASE_URL: postgresUrl.optional(),
  PORT: wholeNumber(1, 65_535).default(8787),
});
const REDIS_URL = 'redis://cache';

describe('readEnvironment', () => {
  it('reads what the schema lists, and nothing else', () => {
    expect(readEnvironment(variables, { REDIS_URL, PORT: '80', HOME: '/root' })).toEqual({ REDIS_URL, PORT: 80 });
  });

  it.each(['', undefined])('takes a variable that is %j as not set', (value) => {
    expect(readEnvironment(variables, { REDIS_URL, DATABASE_URL: value, PORT: value })).toEqual({
      REDIS_URL,
      PORT: 8787,
    });
    expect(() => readEnvironment(variables, { REDIS_URL: value })).toThrow(
      'REDIS_URL must be a redis:// or rediss:// URL, but is not set',
    );
  });

  it('throws for the first wrong variable in the order of the schema', () => {
    const env = { PORT: 'http', DATABASE_URL: 'me:s3cret@db', REDIS_URL };
    const read = (): unknown => readEnvironment(variables, env);
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(
      expect.objectContaining({
        variable: 'DATABASE_URL',
        message: 'DATABASE_URL must be a postgres:// URL, got "***@db"',
      }),
    );
  });
});
