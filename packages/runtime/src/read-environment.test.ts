import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  readEnvironment,
  ConfigError,
  postgresUrl,
  redisUrl,
  wholeNumber,
  anyRedisUrl,
  logLevel,
} from './read-environment.ts';

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

it('names the variable, what it must be and what it is', () => {
  expect(new ConfigError('PORT', 'a number', 'http')).toMatchObject({
    code: 'invalid_config',
    name: 'ConfigError',
    variable: 'PORT',
    message: 'PORT must be a number, got "http"',
  });
  expect(new ConfigError('PORT', 'a number', undefined).message).toBe('PORT must be a number, but is not set');
});

it.each(['SPILLWAY_SESSION_SECRET', 'ALERT_WEBHOOK_SECRET', 'DB_PASSWORD', 'API_TOKEN', 'SIGNING_KEY'])(
  'shows nothing of the value of %s but its length',
  (variable) => {
    expect(new ConfigError(variable, 'longer', 'hunter2').message).toBe(`${variable} must be longer, got 7 characters`);
  },
);

it.each([
  ['postgre://me:s3cret@db/x', '"postgre://***@db/x"'],
  ['HTTP://me:s3cret@db', '"HTTP://***@db"'],
  ['//me:s3cret@db', '"***@db"'],
  ['me:s3/cret@cache', '"***@cache"'],
  ['me:s3//cret@cache', '"***@cache"'],
  ['http://me:s3@cret@db', '"http://***@db"'],
  ['http://me:s3://cret@db', '"http://***@db"'],
  ['http://me:s3\ncret@db', '"http://***@db"'],
])('shows no credentials of %j', (value, shown) => {
  expect(new ConfigError('URL', 'right', value).message).toBe(`URL must be right, got ${shown}`);
});

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

  it.each(['INFO', 'Warn'])('takes %j, as other programs of one environment have it', (value) => {
    expect(logLevel.parse(value)).toBe(value.toLowerCase());
  });

  it.each([undefined, 'loud', 'WARNING'])('refuses %j and lists what there is', (value) => {
    expect(complaint(logLevel, value)).toBe('one of fatal, error, warn, info, debug, trace, silent');
  });
});
