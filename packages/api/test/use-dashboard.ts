import { createApiKey, createPool, migrate } from '@spillway/db';
import { usePostgres, useRedis } from '@spillway/local-servers/testing';
import type { Page } from 'playwright-core';
import { afterEach, beforeAll, beforeEach } from 'vitest';
import { z } from 'zod';
import { type Api, startApi } from '../src/start-api.ts';
import { buildPage } from './built-page.ts';
import { memoryLog } from './memory-log.ts';
import { type TestBrowser, useBrowser } from './use-browser.ts';

/** A running API with its page, and a browser to look at it. */
export interface TestDashboard {
  readonly api: Api;
  readonly pool: ReturnType<typeof createPool>;
  readonly browser: TestBrowser;
  readonly redisUrl: string;
  /** Opens the page and logs in with a new key of this scope. */
  logIn(scope: 'read' | 'admin'): Promise<{ readonly page: Page; readonly keyId: string }>;
  /** Opens the page's login. */
  open(): Promise<Page>;
  /** Ends the API in the middle of a test. */
  stop(): Promise<void>;
  /** And starts it again, at the same address. */
  start(): Promise<void>;
  newKey(scope: 'decide' | 'read' | 'admin'): Promise<{ readonly key: string; readonly id: string }>;
}

/** What a test has, and a key that makes others. */
type Current = Pick<TestDashboard, 'api' | 'pool'> & { readonly admin: string };

/** Gives each test of the file the API as `start` runs it, on an empty Redis and an empty database. */
export function useDashboard(): TestDashboard {
  const redis = useRedis();
  const postgres = usePostgres({
    scope: 'test',
    template: 'spillway_db',
    migrate: async (connectionString) => void (await migrate({ connectionString })),
  });
  const browser = useBrowser();
  let current: Current | undefined;
  const serve = async (pool: TestDashboard['pool'], port: number): Promise<Api> => {
    const { logger } = memoryLog('error');
    const sessionSecret = 'a secret of thirty-two characters';
    return startApi({ redisUrl: redis.url, pool, host: '127.0.0.1', port, logger, sessionSecret });
  };
  beforeAll(buildPage);
  beforeEach(async () => {
    const pool = createPool({ connectionString: postgres.url, onError: () => undefined });
    const { key } = await createApiKey(pool, { name: 'test', scopes: ['admin'] });
    current = { api: await serve(pool, 0), pool, admin: key };
  });
  afterEach(async () => {
    await current?.api.close(0);
    await current?.pool.end();
  });
  const present = (): Current => {
    if (current === undefined) throw new Error('Only inside a test');
    return current;
  };
  // By the API itself, which then knows the key at once.
  const newKey: TestDashboard['newKey'] = async (scope) => {
    const response = await fetch(`${present().api.url}/v1/keys`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${present().admin}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: scope, scopes: [scope] }),
    });
    const made: unknown = await response.json();
    return z.object({ key: z.string(), id: z.string() }).parse(made);
  };
  const open = async (): Promise<Page> => {
    const page = await browser.newPage();
    await page.goto(`${present().api.url}/dashboard`);
    return page;
  };
  return {
    browser,
    newKey,
    open,
    stop: () => present().api.close(0),
    start: async () => {
      const { api, pool, admin } = present();
      current = { api: await serve(pool, Number(new URL(api.url).port)), pool, admin };
    },
    get api() {
      return present().api;
    },
    get pool() {
      return present().pool;
    },
    get redisUrl() {
      return redis.url;
    },
    logIn: async (scope) => {
      const { key, id } = await newKey(scope);
      const page = await open();
      await page.getByLabel('API key').fill(key);
      await page.keyboard.press('Enter');
      await page.locator('main.board').waitFor();
      return { page, keyId: id };
    },
  };
}
