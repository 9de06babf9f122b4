import { ConfigError } from '@spillway/config';
import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

const needed = { REDIS_URL: 'redis://127.0.0.1:6379', DATABASE_URL: 'postgres://127.0.0.1/spillway' };

describe('readConfig', () => {
  it('needs two variables and has defaults for the others', () => {
    expect(readConfig(needed)).toEqual({
      redisUrl: needed.REDIS_URL,
      queueRedisUrl: needed.REDIS_URL,
      databaseUrl: needed.DATABASE_URL,
      shards: 16,
      sinkConcurrency: 2,
      shutdownTimeoutMs: 4_000,
      logLevel: 'info',
    });
  });

  it('takes what is set, and an empty variable as not set', () => {
    const env = { ...needed, QUEUE_REDIS_URL: 'rediss://queue', SPILLWAY_SHARDS: '64', LOG_LEVEL: '' };
    expect(readConfig(env)).toMatchObject({ queueRedisUrl: 'rediss://queue', shards: 64, logLevel: 'info' });
  });

  it.each([
    ['REDIS_URL', undefined, 'REDIS_URL must be a redis:// or rediss:// URL, but is not set'],
    ['REDIS_URL', 'localhost', 'REDIS_URL must be a redis:// or rediss:// URL, got "localhost"'],
    ['DATABASE_URL', 'mysql://x', 'DATABASE_URL must be a postgres:// URL, got "mysql://x"'],
    ['SPILLWAY_SHARDS', '4097', 'SPILLWAY_SHARDS must be a whole number from 1 to 4096, got "4097"'],
    [
      'SPILLWAY_SINK_CONCURRENCY',
      'many',
      'SPILLWAY_SINK_CONCURRENCY must be a whole number from 1 to 1000, got "many"',
    ],
    ['LOG_LEVEL', 'loud', 'LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent, got "loud"'],
  ])('names %s and its value %s', (variable, value, message) => {
    const read = () => readConfig({ ...needed, [variable]: value });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(expect.objectContaining({ code: 'invalid_config', variable, message }));
  });
});
