import { ConfigError } from '@spillway/runtime';
import { readServerConfig } from '@spillway/runtime/api-config';
import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

const urls = { REDIS_URL: 'redis://127.0.0.1:6379', DATABASE_URL: 'postgres://127.0.0.1/spillway' };

describe('readConfig', () => {
  it('listens on the loopback address and port 8787 unless told otherwise', () => {
    expect(readConfig(urls)).toEqual({
      port: 8787,
      host: '127.0.0.1',
      requestsPerMinute: 3_000,
      attempts: { failuresPerMinute: 60, trustedProxies: [] },
      deadlineMs: 100,
      connections: {
        headersTimeoutMs: 15_000,
        requestTimeoutMs: 30_000,
        keepAliveTimeoutMs: 75_000,
        idleTimeoutMs: 120_000,
        maxConnections: 4_096,
      },
      shards: 16,
      namespace: '',
      jwt: undefined,
      idempotency: { ttlMs: 600_000, maxBytes: 134_217_728 },
      logLevel: undefined,
      redisUrl: urls.REDIS_URL,
      databaseUrl: urls.DATABASE_URL,
      databaseServer: 'postgres',
      workerInside: false,
    });
    expect(
      readConfig({
        ...urls,
        PORT: '80',
        HOST: '::',
        LOG_LEVEL: 'warn',
        SPILLWAY_SHARDS: '4',
        SPILLWAY_NAMESPACE: 'staging',
        DATABASE_READ_URL: 'postgres://replica/spillway',
        SPILLWAY_FILE: 'spillway.yaml',
        SPILLWAY_API_DEADLINE_MS: '250',
        SPILLWAY_API_HEADERS_TIMEOUT_MS: '60000',
        SPILLWAY_API_REQUEST_TIMEOUT_MS: '60000',
        SPILLWAY_API_KEEP_ALIVE_TIMEOUT_MS: '5000',
      }),
    ).toMatchObject({
      file: 'spillway.yaml',
      deadlineMs: 250,
      connections: { headersTimeoutMs: 60_000, requestTimeoutMs: 60_000, keepAliveTimeoutMs: 5_000 },
      databaseReadUrl: 'postgres://replica/spillway',
      port: 80,
      host: '::',
      logLevel: 'warn',
      shards: 4,
      namespace: 'staging',
    });
  });

  it('carries a worker when it is told to, which reads the variables of a worker', () => {
    expect(readConfig(urls).worker).toBeUndefined();
    const inside = { ...urls, SPILLWAY_WORKER: 'inside' };
    expect(readConfig(inside).worker).toMatchObject({ databaseUrl: urls.DATABASE_URL, sinkConcurrency: 2 });
    const apart = { WORKER_DATABASE_URL: 'postgres://worker@127.0.0.1/spillway', SPILLWAY_SINK_CONCURRENCY: '4' };
    expect(readConfig({ ...inside, ...apart })).toMatchObject({
      databaseUrl: urls.DATABASE_URL,
      worker: { databaseUrl: apart.WORKER_DATABASE_URL, sinkConcurrency: 4 },
    });
    expect(() => readConfig({ ...urls, SPILLWAY_WORKER: 'outside' })).toThrow(
      'SPILLWAY_WORKER must be \'inside\', or not set, got "outside"',
    );
    expect(() => readConfig({ ...inside, SPILLWAY_SINK_CONCURRENCY: '0' })).toThrow('SPILLWAY_SINK_CONCURRENCY');
  });

  it.each([
    ['PORT', 'http'],
    ['PORT', '0'],
    ['SPILLWAY_API_REQUESTS_PER_MINUTE', '-1'],
    ['SPILLWAY_API_DEADLINE_MS', '0'],
    ['SPILLWAY_API_DEADLINE_MS', '60001'],
    ['SPILLWAY_API_HEADERS_TIMEOUT_MS', '999'],
    ['SPILLWAY_API_HEADERS_TIMEOUT_MS', '30001'],
    ['SPILLWAY_API_REQUEST_TIMEOUT_MS', '30s'],
    ['SPILLWAY_API_KEEP_ALIVE_TIMEOUT_MS', '-1'],
    ['SPILLWAY_API_IDLE_TIMEOUT_MS', '0'],
    ['SPILLWAY_API_MAX_CONNECTIONS', '0'],
    ['SPILLWAY_API_FAILURES_PER_MINUTE', '0'],
    ['SPILLWAY_TRUSTED_PROXIES', '10.0.0.0/33'],
    ['SPILLWAY_TRUSTED_PROXIES', '10.0.0.1;10.0.0.2'],
    ['SPILLWAY_TRUSTED_PROXIES', '0.0.0.0/0,'],
    ['SPILLWAY_IDEMPOTENCY_TTL_MS', '0'],
    ['SPILLWAY_IDEMPOTENCY_MAX_BYTES', '1k'],
    ['PORT', '65536'],
    ['PORT', '8787.5'],
    ['HOST', 'not a host'],
    ['SPILLWAY_SHARDS', '4097'],
    ['LOG_LEVEL', 'loud'],
    ['SPILLWAY_JWKS_URL', 'issuer.test/keys'],
    ['REDIS_URL', 'http://127.0.0.1'],
    ['QUEUE_REDIS_URL', 'http://127.0.0.1'],
    ['DATABASE_URL', 'mysql://127.0.0.1'],
    ['DATABASE_SERVER', 'mysql'],
    ['DATABASE_READ_URL', 'mysql://127.0.0.1'],
  ])('names %s and its value when it is %j', (variable, value) => {
    const attempt = (): unknown => readConfig({ ...urls, [variable]: value });
    expect(attempt).toThrow(ConfigError);
    expect(attempt).toThrow(`${variable} must be `);
    expect(attempt).toThrow(JSON.stringify(value));
  });

  it.each(['REDIS_URL', 'DATABASE_URL'])('names %s when it is missing or empty', (variable) => {
    expect(() => readConfig({ ...urls, [variable]: undefined })).toThrow(`${variable} must be a`);
    expect(() => readConfig({ ...urls, [variable]: '' })).toThrow('but is not set');
    expect(() => readServerConfig({ ...urls, [variable]: '' })).not.toThrow();
  });

  it.each([
    [{ PORT: '9000', METRICS_PORT: '9000' }, 'METRICS_PORT must be another port than PORT, got "9000"'],
    [{ PORT: '9000', WORKER_HTTP_PORT: '9000' }, 'WORKER_HTTP_PORT must be another port than PORT and METRICS_PORT'],
    [{ METRICS_PORT: '9000', WORKER_HTTP_PORT: '9000' }, 'WORKER_HTTP_PORT must be another port'],
  ])('names the port that comes twice in %j', (ports, message) => {
    expect(() => readConfig({ ...urls, SPILLWAY_WORKER: 'inside', ...ports })).toThrow(message);
  });

  it('hears of a PgBouncer', () => {
    expect(readConfig({ ...urls, DATABASE_SERVER: 'pgbouncer' }).databaseServer).toBe('pgbouncer');
  });

  it('takes a Cluster or sentinels, also where Redis may be started here', () => {
    const url = 'redis-sentinel://a,b/spillway';
    expect(readConfig({ ...urls, REDIS_URL: url }).redisUrl).toBe(url);
    expect(readServerConfig({ REDIS_URL: url }).redisUrl).toBe(url);
    expect(() => readServerConfig({ REDIS_URL: 'redis-sentinel://a,b' })).toThrow('REDIS_URL must be');
  });

  it('takes JWTs when all of the issuer is said, and refuses half of it', () => {
    const jwt = { SPILLWAY_JWKS_URL: 'https://i.test/keys', SPILLWAY_JWT_ISSUER: 'i', SPILLWAY_JWT_AUDIENCE: 'a' };
    expect(readConfig({ ...urls, ...jwt }).jwt).toEqual({ jwksUrl: 'https://i.test/keys', issuer: 'i', audience: 'a' });
    for (const url of ['http://localhost:8080/keys', 'http://127.0.0.1/keys', 'http://[::1]:80/keys']) {
      expect(readConfig({ ...urls, ...jwt, SPILLWAY_JWKS_URL: url }).jwt).toMatchObject({ jwksUrl: url });
    }
    for (const url of ['http://i.test/keys', 'http://localhost.evil.test/keys', 'http://127.0.0.1.evil.test/']) {
      expect(() => readConfig({ ...urls, ...jwt, SPILLWAY_JWKS_URL: url })).toThrow(
        'SPILLWAY_JWKS_URL must be an https:// URL',
      );
    }
    for (const variable of Object.keys(jwt)) {
      expect(() => readConfig({ ...urls, ...jwt, [variable]: '' })).toThrow(`${variable} must be set together`);
    }
  });
});
