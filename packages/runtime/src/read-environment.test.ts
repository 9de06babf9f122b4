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

  it.each(['tcp://10.0.0.7:9100', 'udp://10.0.0.7:53', 'tcp://[fd00::7]:9100'])(
    'takes %s, which Kubernetes sets for a Service of that name, as not set',
    (value) => {
      const ports = z.object({ WORKER_HTTP_PORT: wholeNumber(1, 65_535).default(8788) });
      expect(readEnvironment(ports, { WORKER_HTTP_PORT: value })).toEqual({ WORKER_HTTP_PORT: 8788 });
      expect(() => readEnvironment(ports, { WORKER_HTTP_PORT: `${value}x` })).toThrow('a whole number from 1 to 65535');
    },
  );

  it('throws for the first wrong variable in the order of the schema, and tells of all', () => {
    const env = { PORT: 'http', DATABASE_URL: 'me:s3cret@db', REDIS_URL };
    const read = (): unknown => readEnvironment(variables, env);
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(
      expect.objectContaining({
        variable: 'DATABASE_URL',
        message: [
          'DATABASE_URL must be a postgres:// URL, got "***@db"',
          'PORT must be a whole number from 1 to 65535, got "http"',
        ].join('\n'),
      }),
    );
  });
});
