import { createPool, migrate } from '@spillway/db';
import { usePostgres } from '@spillway/local-servers/testing';
import { createLimiter, definePolicy, type Limiter, memoryStore, tiers } from '@spillway/limiter';
import { afterEach, beforeEach } from 'vitest';
import { type ApiDeps, createApp } from '../src/app.ts';
import { type ApiApp, type Scope, scopes, type Authenticator } from '../src/openapi/api-app.ts';
import type { LogLevel } from '@spillway/runtime';
import type { Logger } from 'pino';
import { createLogger } from '../src/logger.ts';
import { startMaintenance } from '@spillway/worker';
import { openWorkerQueues } from '../src/queues.ts';
import { maintenanceControl } from '../src/maintenance-runs.ts';

/** Gives each test of the file a migrated database of its own. Read the fields inside tests only. */
export function useMigratedDatabase(): ReturnType<typeof usePostgres> {
  return usePostgres({
    scope: 'test',
    template: 'spillway_db',
    migrate: async (connectionString) => void (await migrate({ connectionString })),
  });
}

type TestPool = ReturnType<typeof createPool>;

/** An application on a limiter in memory and a database of its own. */
interface TestApi {
  readonly app: ApiApp;
  readonly pool: TestPool;
  readonly limiter: Limiter;
  readonly log: MemoryLog;
  /** Sends JSON with a key; no body sends none. */
  ask(method: string, path: string, options?: { readonly body?: unknown; readonly as?: Scope }): Promise<Response>;
}

const up = async (): Promise<void> => undefined;

/** What an application's parts are made with. */
interface ApiTools {
  readonly pool: TestPool;
  /** Called when the test is over, last come first served; the pool is open still. */
  readonly onClose: (close: () => Promise<void>) => void;
}

/** Gives each test of the file an application. Read the fields inside tests only. */
export function useApi(more: (pool: TestPool, tools: ApiTools) => Partial<ApiDeps> = () => ({})): TestApi {
  const postgres = useMigratedDatabase();
  let current: Omit<TestApi, 'ask'> | undefined;
  const closing: (() => Promise<void>)[] = [];
  beforeEach(() => {
    const pool = createPool({ connectionString: postgres.url, onError: () => undefined });
    const ten = definePolicy({ name: 'ten', limit: 10, windowMs: 60_000 });
    const slots = definePolicy({ name: 'slots', algorithm: 'concurrency', limit: 1, windowMs: 60_000 });
    const limiter: Limiter = createLimiter({ store: memoryStore(), policies: [...tiers, ten, slots], live: true });
    const log = memoryLog();
    const checks = { redis: up, postgres: up };
    const app = createApp({
      limiter,
      checks,
      logger: log.logger,
      authenticator: fixedKeys,
      db: pool,
      ...more(pool, { pool, onClose: (close) => void closing.push(close) }),
    });
    current = { app, pool, limiter, log };
  });
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
    await current?.pool.end();
  });
  const present = (): Omit<TestApi, 'ask'> => {
    if (current === undefined) throw new Error('Only inside a test');
    return current;
  };
  return {
    get app() {
      return present().app;
    },
    get pool() {
      return present().pool;
    },
    get limiter() {
      return present().limiter;
    },
    get log() {
      return present().log;
    },
    ask: async (method, path, { body, as = 'admin' } = {}) =>
      present().app.request(path, {
        method,
        headers: { ...bearer(as), ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
  };
}

/** Knows three keys by heart, each named like the one scope that it has. */
export const fixedKeys: Authenticator = {
  verify: (token) => {
    const scope = scopes.find((one) => one === token);
    if (scope === undefined) return { kind: 'unknown' };
    return { kind: 'known', principal: { id: token, kind: 'api-key', scopes: [scope] } };
  },
};

/** The header that one of the fixed keys travels in. */
export function bearer(scope: Scope): { readonly Authorization: string } {
  return { Authorization: `Bearer ${scope}` };
}

/** A logger whose lines can be looked at. */
export interface MemoryLog {
  readonly logger: Logger;
  /** Everything logged so far, as it was written. */
  text(): string;
  lines(): Record<string, unknown>[];
}

/** Makes a logger that keeps its lines in memory. */
export function memoryLog(level: LogLevel = 'debug'): MemoryLog {
  const written: string[] = [];
  return {
    logger: createLogger({ name: 'test', level }, { write: (line) => written.push(line) }),
    text: () => written.join(''),
    lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

/** What {@link queuesOf} connects. */
interface QueueOptions extends ApiTools {
  readonly redisUrl: string;
  /** @default 0: it is answered at once */
  readonly answerWithinMs?: number;
}

/** The workers' queues, without a worker: what is asked for waits. */
export function queuesOf({ pool, onClose, redisUrl, answerWithinMs = 0 }: QueueOptions) {
  const queues = openWorkerQueues(redisUrl, '', memoryLog().logger);
  onClose(() => queues.close());
  return { queues, maintenance: maintenanceControl({ queues, db: pool, answerWithinMs }) } satisfies Partial<ApiDeps>;
}

/** The same with a worker that does maintenance, and time to wait for it. */
export function workersOf({ answerWithinMs = 30_000, ...options }: QueueOptions): ReturnType<typeof queuesOf> {
  const { redisUrl: redis, pool, onClose } = options;
  const worker = startMaintenance({ redis, pool, shards: 1, logger: memoryLog().logger });
  onClose(async () => (await worker).close());
  return queuesOf({ ...options, answerWithinMs });
}
