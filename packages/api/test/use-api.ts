import { createPool, migrate } from '@spillway/db';
import { usePostgres } from '@spillway/local-servers/testing';
import { createLimiter, definePolicy, type Limiter, memoryStore, tiers } from '@spillway/limiter';
import { afterEach, beforeEach } from 'vitest';
import { type ApiDeps, createApp } from '../src/app.ts';
import type { Scope } from '../src/auth/principal.ts';
import type { ApiApp } from '../src/openapi/api-app.ts';
import { bearer, fixedKeys } from './fixed-keys.ts';
import { type MemoryLog, memoryLog } from './memory-log.ts';

type TestPool = ReturnType<typeof createPool>;

/** An application on a limiter in memory and a database of its own. */
export interface TestApi {
  readonly app: ApiApp;
  readonly pool: TestPool;
  readonly limiter: Limiter;
  readonly log: MemoryLog;
  /** Sends JSON with a key; no body sends none. */
  ask(method: string, path: string, options?: { readonly body?: unknown; readonly as?: Scope }): Promise<Response>;
}

const up = async (): Promise<void> => undefined;

/** What an application's parts are made with. */
export interface ApiTools {
  readonly pool: TestPool;
  /** Called when the test is over, last come first served; the pool is open still. */
  readonly onClose: (close: () => Promise<void>) => void;
}

/** Gives each test of the file an application. Read the fields inside tests only. */
export function useApi(more: (pool: TestPool, tools: ApiTools) => Partial<ApiDeps> = () => ({})): TestApi {
  const postgres = usePostgres({
    scope: 'test',
    template: 'spillway_db',
    migrate: async (connectionString) => void (await migrate({ connectionString })),
  });
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
