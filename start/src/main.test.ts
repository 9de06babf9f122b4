import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { serve } from '@spillway/api';
import { createPool } from '@spillway/db';
import { workDirectoryRoot, usePostgres, useRedis } from '@spillway/local-servers/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  cleanEnvironment,
  flood,
  follow,
  freePort,
  processesUsing,
  spawnStart,
  startCommand,
  startSet,
  withoutRedisProgram,
  type StartProcess,
} from '../test/spawn-start.ts';

const WAIT = { timeout: 20_000, interval: 50 };
const firstMonitoringQuery = "SELECT COUNT(*) FROM rate_limits_v2 WHERE blocked_until > now() - interval '24 hours';";

let folder: string;
let dataDir: string;
let env: Record<string, string>;
const running = new Set<StartProcess>();

beforeEach(async () => {
  folder = mkdtempSync(path.join(workDirectoryRoot(), 'spillway-start-'));
  dataDir = path.join(folder, 'data');
  env = { PORT: await freePort(), SPILLWAY_DATA_DIR: dataDir, SPILLWAY_STACK: 'local' };
});
afterEach(async () => {
  for (const { child } of running) child.kill('SIGKILL');
  await Promise.all([...running].map(({ exited }) => exited));
  running.clear();
  await vi.waitUntil(() => processesUsing(dataDir).length === 0, WAIT);
  rmSync(folder, { recursive: true });
});

function start(args: readonly string[] = [], under: readonly string[] = []): StartProcess {
  const started = spawnStart(env, args, under);
  running.add(started);
  return started;
}

async function stop(started: StartProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  started.child.kill(signal);
  const code = await started.exited;
  running.delete(started);
  return code;
}

async function decide(api: string, key: string): Promise<number> {
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
  const init = { method: 'POST', headers, body: '{"subject":"user-1"}' };
  return (await fetch(`${api}/v1/limits/strict/consume`, init)).status;
}

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const pool = createPool({ connectionString: url, onError: () => undefined });
  try {
    return (await pool.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await pool.end();
  }
}

describe('start', { timeout: 120_000 }, () => {
  it('admits twenty of a flood, refuses the rest, shows the block in Postgres, and stops without a trace', async () => {
    const first = start();
    const { api, postgres } = await first.ready();
    expect(api).toBe(`http://localhost:${env['PORT']}`);

    const responses = await flood(api, 25);
    expect(responses.map(({ status }) => status)).toEqual([
      ...Array.from({ length: 20 }, () => 200),
      ...Array.from({ length: 5 }, () => 429),
    ]);
    const { headers } = responses[20] ?? new Response();
    expect(headers.get('Retry-After')).toBe('120');
    expect(headers.get('RateLimit')).toBe('"generation";r=0;t=120');
    expect(headers.get('RateLimit-Policy')).toBe('"generation";q=20;w=60');
    expect(headers.get('X-RateLimit-Limit')).toBe('20');
    expect(headers.get('X-RateLimit-Remaining')).toBe('0');
    expect(Number(headers.get('X-RateLimit-Reset'))).toBeGreaterThan(0);

    await expect.poll(() => ask(postgres, firstMonitoringQuery), WAIT).toEqual([{ count: '1' }]);
    const rows = await ask(
      postgres,
      'SELECT tier, action, identifier, blocked_until > now() AS blocked FROM rate_limits_v2',
    );
    expect(rows).toEqual([
      { tier: 'generation', action: 'generate-content', identifier: expect.stringMatching(/^api_key:/), blocked: true },
    ]);

    // Maintenance runs too: it has noted since when each of its jobs is due, and what it sees of itself.
    const scheduled = "SELECT count(*)::text AS jobs FROM spillway.job_runs WHERE status = 'baseline'";
    await expect.poll(() => ask(postgres, scheduled), WAIT).toEqual([{ jobs: '4' }]);
    const observed =
      "SELECT count(*)::text AS looks FROM system_metrics WHERE metric_name = 'audit_oldest_event_age_ms'";
    await expect.poll(() => ask(postgres, observed), WAIT).not.toEqual([{ looks: '0' }]);

    expect(processesUsing(dataDir).length).toBeGreaterThanOrEqual(2);
    // 0 only when all was stopped in order, before the deadline that ends it with 1.
    expect(await stop(first)).toBe(0);
    expect(processesUsing(dataDir)).toEqual([]);
    expect(existsSync(path.join(dataDir, 'lock'))).toBe(false);
    expect(first.output()).not.toContain('"level":50');

    // The block, too, is still there: it lies in Redis.
    const second = start();
    const again = await second.ready();
    expect((await flood(again.api, 1)).map(({ status }) => status)).toEqual([429]);
    expect(await ask(again.postgres, firstMonitoringQuery)).toEqual([{ count: '1' }]);
    expect(await stop(second, 'SIGINT')).toBe(0);

    const third = start(['--fresh']);
    const fresh = await third.ready();
    expect((await flood(fresh.api, 1)).map(({ status }) => status)).toEqual([200]);
    expect(await ask(fresh.postgres, firstMonitoringQuery)).toEqual([{ count: '0' }]);
    expect(await stop(third)).toBe(0);
  });

  it('prints a key that opens the API, is stored nowhere, and ends with the command', async () => {
    const first = start();
    const { api, key, postgres } = await first.ready();
    expect([await decide(api, key), await decide(api, `${key.slice(0, -1)}_`)]).toEqual([200, 401]);
    const stored = JSON.stringify(await ask(postgres, 'SELECT * FROM spillway.api_keys'));
    expect(stored).toContain('"name":"start"');
    expect(stored).not.toContain(key.slice(-43));
    expect(await stop(first)).toBe(0);

    const second = start();
    const again = await second.ready();
    expect([await decide(again.api, key), await decide(again.api, again.key)]).toEqual([401, 200]);
    expect(await stop(second)).toBe(0);
  });

  it('refuses a second copy on the same data, and its --fresh wipes nothing', async () => {
    const first = start();
    const { api } = await first.ready();
    await flood(api, 21);
    env['PORT'] = await freePort();
    const second = start(['--fresh']);
    expect(await second.exited).toBe(1);
    expect(second.output()).toContain(`another copy of Spillway (process ${first.child.pid}) uses it`);
    expect((await flood(api, 1)).map(({ status }) => status)).toEqual([429]);
  });

  it('comes back at once after a kill -9, with its data', async () => {
    const first = start();
    const { api, postgres } = await first.ready();
    await flood(api, 21);
    await expect.poll(() => ask(postgres, firstMonitoringQuery), WAIT).toEqual([{ count: '1' }]);
    await stop(first, 'SIGKILL');
    const second = start();
    const again = await second.ready();
    expect(await ask(again.postgres, firstMonitoringQuery)).toEqual([{ count: '1' }]);
    expect(await stop(second)).toBe(0);
  });

  it('stops in the middle of a start', async () => {
    const started = start();
    await expect.poll(() => started.output(), WAIT).toContain('Starting Redis');
    expect(await stop(started, 'SIGINT')).toBe(0);
    expect(started.output()).not.toContain('Spillway is up');
    // A server that was still being started is ended by its guard, a moment after the command.
    await expect.poll(() => processesUsing(dataDir), WAIT).toEqual([]);
  });

  it('stops when the package manager above it is killed', async () => {
    const manager = `
      const { spawn } = require('node:child_process');
      const env = { ...process.env, npm_lifecycle_event: 'start' };
      // A shell in between, as package managers have it; the wait keeps it from becoming the command.
      spawn('/bin/sh', ['-c', '"$0" "$@"; wait', process.execPath, ...process.argv.slice(1)], { env, stdio: 'inherit' });`;
    const child = spawn(process.execPath, ['-e', manager, '--', ...startCommand], {
      env: { ...cleanEnvironment(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const started = follow(child);
    running.add(started);
    await started.ready();
    child.kill('SIGKILL');
    await expect.poll(() => processesUsing(dataDir), WAIT).toEqual([]);
    // The pipes close when the last process that holds them has ended.
    await started.exited;
    expect(started.output()).toContain('Spillway: stopping');
  });

  it('names PORT when it is taken, and starts nothing', async () => {
    const other = await serve({ fetch: () => new Response(), host: '127.0.0.1', port: Number(env['PORT']) });
    const started = start();
    expect(await started.exited).toBe(1);
    expect(started.output()).toContain(`PORT ${other.port} is taken`);
    expect(existsSync(dataDir)).toBe(false);
    await other.close(0);
  });

  it.skipIf(!withoutRedisProgram.possible).each([
    { args: ['--no-install'], says: /Redis: No Redis to start.*leave out --no-install.*REDIS_URL/su, installs: false },
    { args: [], says: /Redis: No Redis to start.*PATH.*REDIS_URL/su, installs: existsSync('/usr/bin/apt-get') },
  ])('says what helps where there is no Redis and none can be installed: $args', async ({ args, says, installs }) => {
    const started = start(args, withoutRedisProgram.command);
    expect(await started.exited).toBe(1);
    expect(started.output()).toMatch(says);
    expect(started.output().includes('Installing redis-server')).toBe(installs);
    expect(processesUsing(dataDir)).toStrictEqual([]);
  });

  it('explains itself, and a mistake', async () => {
    const help = start(['--help']);
    expect(await help.exited).toBe(0);
    expect(help.output()).toContain('--fresh');
    const mistake = start(['--frehs']);
    expect(await mistake.exited).toBe(2);
    expect(mistake.output()).toContain('--frehs');
  });

  it('ends with 1 and the name of the variable when it is wrong', async () => {
    env['PORT'] = 'http';
    const started = start();
    expect(await started.exited).toBe(1);
    expect(started.output()).toContain('PORT must be');
  });
});

describe('start on servers that are already there', { timeout: 120_000 }, () => {
  const redis = useRedis();
  const postgres = usePostgres({ scope: 'test' });

  it('uses them and leaves them alone', async () => {
    env = { PORT: env['PORT'] ?? '', SPILLWAY_DATA_DIR: dataDir, REDIS_URL: redis.url, DATABASE_URL: postgres.url };
    const started = start();
    const urls = await started.ready();
    expect([urls.redis, urls.postgres]).toEqual([redis.url, postgres.url]);
    expect(processesUsing(dataDir)).toEqual([]);
    await flood(urls.api, 21);
    await expect.poll(() => ask(postgres.url, firstMonitoringQuery), WAIT).toEqual([{ count: '1' }]);
    expect(await stop(started)).toBe(0);
    expect(await redis.client.ping()).toBe('PONG');
  });

  it('fills the dashboard with traffic when asked: decisions, calls, generations, a block, a breaker that opened', async () => {
    env = { PORT: env['PORT'] ?? '', SPILLWAY_DATA_DIR: dataDir, REDIS_URL: redis.url, DATABASE_URL: postgres.url };
    const started = start(['--with-load']);
    await started.ready();
    const seen = `SELECT (SELECT count(*) > 0 FROM rate_limits_v2 WHERE tier = 'generation') AS block,
      (SELECT count(*) > 0 FROM circuit_breaker_events WHERE breaker_name = 'runware' AND event_type = 'opened') AS breaker,
      (SELECT count(DISTINCT user_id) > 30 FROM api_call_logs) AS users,
      (SELECT count(*) > 10 FROM generations) AS generations,
      (SELECT count(DISTINCT policy) FROM spillway.decision_counts) AS tiers`;
    await expect
      .poll(() => ask(postgres.url, seen), { ...WAIT, timeout: 60_000 })
      .toEqual([{ block: true, breaker: true, users: true, generations: true, tiers: '4' }]);
    expect(await stop(started)).toBe(0);
  });

  it.each(['cluster', 'sentinel'] as const)('takes the URL of a %s', async (kind) => {
    const { set, url } = await startSet(kind);
    try {
      env = { PORT: env['PORT'] ?? '', SPILLWAY_DATA_DIR: dataDir, REDIS_URL: url, DATABASE_URL: postgres.url };
      const started = start();
      const urls = await started.ready();
      expect(urls.redis).toBe(url);
      // A Cluster's nodes are connected to as they are needed: the first decisions may miss their deadline.
      await expect.poll(async () => (await flood(urls.api, 25)).at(-1)?.status, WAIT).toBe(429);
      await expect.poll(() => ask(postgres.url, firstMonitoringQuery), WAIT).toEqual([{ count: '1' }]);
      expect(await stop(started)).toBe(0);
    } finally {
      await set.stop();
    }
  });

  it.each(['redis://HERE', 'redis-cluster://HERE,HERE', 'redis-sentinel://HERE/main'])(
    'names the variable when nothing answers at %s',
    async (form) => {
      const nobody = form.replaceAll('HERE', `127.0.0.1:${await freePort()}`);
      env = { PORT: env['PORT'] ?? '', SPILLWAY_DATA_DIR: dataDir, REDIS_URL: nobody, DATABASE_URL: postgres.url };
      const started = start();
      expect(await started.exited).toBe(1);
      expect(started.output()).toContain('REDIS_URL');
      expect(readFileSync(path.join(dataDir, '.spillway'), 'utf8')).toContain('--fresh');
    },
  );

  it('is compiled and started by the command of package.json, with no input at all', async () => {
    const command = spawn(process.execPath, [path.resolve(import.meta.dirname, '../run.mjs'), '--help'], {
      env: cleanEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const help = follow(command);
    expect(await help.exited).toBe(0);
    expect(help.output()).toContain('--with-load');
  });
});
