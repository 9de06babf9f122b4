import { ConfigError } from '@spillway/runtime';
import { builtInArchives } from '@spillway/db';
import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';
import { archiveTablesField } from './archive-tables-field.ts';

const needed = { REDIS_URL: 'redis://127.0.0.1:6379', DATABASE_URL: 'postgres://127.0.0.1/spillway' };

describe('readConfig', () => {
  it('needs two variables and has defaults for the others', () => {
    expect(readConfig(needed)).toEqual({
      redisUrl: needed.REDIS_URL,
      queueRedisUrl: needed.REDIS_URL,
      databaseUrl: needed.DATABASE_URL,
      maintenanceDatabaseUrl: needed.DATABASE_URL,
      databaseServer: 'postgres',
      maintenanceDatabaseServer: 'postgres',
      shards: 16,
      namespace: '',
      sinkConcurrency: 2,
      blockRowsPerMinute: 6_000,
      shutdownTimeoutMs: 4_000,
      http: undefined,
      readyMaxLagMs: 60_000,
      archiveTables: builtInArchives,
      webhook: undefined,
      file: undefined,
      logLevel: 'info',
    });
  });

  it('takes what is set, and an empty variable as not set', () => {
    const env = {
      ...needed,
      QUEUE_REDIS_URL: 'redis-sentinel://a,b/queue',
      SPILLWAY_SHARDS: '64',
      SPILLWAY_NAMESPACE: 'staging',
      SPILLWAY_FILE: '/etc/spillway.yaml',
      LOG_LEVEL: '',
    };
    expect(readConfig(env)).toMatchObject({
      queueRedisUrl: 'redis-sentinel://a,b/queue',
      file: '/etc/spillway.yaml',
      shards: 64,
      namespace: 'staging',
      logLevel: 'info',
    });
    const pooled = { ...needed, DATABASE_SERVER: 'pgbouncer' };
    expect(readConfig(pooled)).toMatchObject({ databaseServer: 'pgbouncer', maintenanceDatabaseServer: 'pgbouncer' });
    const direct = { ...pooled, MAINTENANCE_DATABASE_URL: needed.DATABASE_URL };
    expect(readConfig(direct)).toMatchObject({ databaseServer: 'pgbouncer', maintenanceDatabaseServer: 'postgres' });
  });

  it('takes the health server, the webhook and more tables to archive', () => {
    const tables = [
      { source: 'public.sessions', target: 'archive.sessions', timestampColumn: 'seen_at', retentionDays: 14 },
      { source: 'logs', target: 'archive.logs', retentionDays: 0, retire: { keepMonths: 12, action: 'drop' } },
    ];
    const env = {
      ...needed,
      WORKER_HTTP_PORT: '8788',
      ALERT_WEBHOOK_URL: 'https://hooks.example/x',
      ALERT_WEBHOOK_SECRET: 'sixteen letters!',
      SPILLWAY_ARCHIVE_TABLES: JSON.stringify(tables),
    };
    expect(readConfig(env)).toMatchObject({
      http: { host: '127.0.0.1', port: 8788 },
      webhook: { url: 'https://hooks.example/x', secret: 'sixteen letters!' },
      archiveTables: [
        {},
        {},
        {},
        { source: { schema: 'public', name: 'sessions' }, timestampColumn: 'seen_at', retentionDays: 14 },
        { source: { schema: 'public', name: 'logs' }, retire: { keepMonths: 12, action: 'drop' } },
      ],
    });
  });

  it.each([
    [
      'ALERT_WEBHOOK_URL',
      'https://bot:hunter2@hooks.example/x',
      'ALERT_WEBHOOK_URL must be an http:// or https:// URL without a user and a password, which fetch refuses, got "https://***@hooks.example/x"',
    ],
    [
      'ALERT_WEBHOOK_URL',
      'https://hooks.example/x',
      'ALERT_WEBHOOK_SECRET must be set together with ALERT_WEBHOOK_URL',
    ],
    ['DATABASE_SERVER', 'mysql', 'DATABASE_SERVER must be postgres or pgbouncer'],
    ['WORKER_HTTP_PORT', '0', 'WORKER_HTTP_PORT must be a whole number from 1 to 65535'],
    ['SPILLWAY_ARCHIVE_TABLES', '{', 'SPILLWAY_ARCHIVE_TABLES must be a JSON list of tables to archive (the whole: '],
    [
      'SPILLWAY_ARCHIVE_TABLES',
      '[{"source":"a.b.c","target":"x.y","retentionDays":1}]',
      'a JSON list of tables to archive (0.source: must be "schema.name")',
    ],
    [
      'SPILLWAY_ARCHIVE_TABLES',
      '[{"source":"b","target":"x.y","retentionDays":1,"keep":2}]',
      'Unrecognized key: "keep"',
    ],
  ])('refuses %s=%s', (variable, value, message) => {
    expect(() => readConfig({ ...needed, [variable]: value })).toThrow(message);
  });

  it.each([
    ['REDIS_URL', undefined, 'REDIS_URL must be a redis://, redis-cluster:// or redis-sentinel:// URL, but is not set'],
    [
      'REDIS_URL',
      'localhost',
      'REDIS_URL must be a redis://, redis-cluster:// or redis-sentinel:// URL, got "localhost"',
    ],
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

const read = (entries: readonly object[]) => archiveTablesField.parse(JSON.stringify(entries));
const [calls, audit, generations] = builtInArchives;

describe('SPILLWAY_ARCHIVE_TABLES', () => {
  it("reads as the guide's three when it is not set or lists none", () => {
    expect(archiveTablesField.parse(undefined)).toEqual(builtInArchives);
    expect(read([])).toEqual(builtInArchives);
  });

  it("replaces one of the guide's three, with or without its schema, and keeps what the entry does not name", () => {
    expect(read([{ source: 'generations', retentionDays: 365 }])).toEqual([
      calls,
      audit,
      { ...generations, retentionDays: 365 },
    ]);
    const entry = { source: 'public.audit_logs', target: 'cold.audit', timestampColumn: 'at', where: 'done' };
    expect(read([entry])).toEqual([
      calls,
      { ...audit, target: { schema: 'cold', name: 'audit' }, timestampColumn: 'at', where: 'done' },
      generations,
    ]);
  });

  it('leaves out a table that is not enabled', () => {
    expect(read([{ source: 'api_call_logs', enabled: false }])).toEqual([audit, generations]);
    expect(
      read(builtInArchives.map(({ source }) => ({ source: source.name, enabled: false, retentionDays: 3 }))),
    ).toEqual([]);
    expect(read([{ source: 'sessions', enabled: false }])).toEqual(builtInArchives);
  });

  it('keeps a table of the same name in another schema apart', () => {
    expect(read([{ source: 'app.generations', target: 'archive.app_generations', retentionDays: 1 }])).toHaveLength(4);
  });

  it.each([
    [[{ source: 'sessions', retentionDays: 1 }], '0.target: must be given for public.sessions'],
    [[{ source: 'sessions', target: 'archive.sessions' }], '0.retentionDays: must be given for public.sessions'],
    [
      [{ source: 'audit_logs' }, { source: 'public.audit_logs', enabled: false }],
      '1.source: public.audit_logs has an entry already',
    ],
    [[{ source: 'audit_logs', enabled: 'no' }], '0.enabled: '],
  ])('refuses %j', (entries, message) => {
    expect(() => read(entries)).toThrow(message);
  });
});
