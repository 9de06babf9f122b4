import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { ConfigError, isRunning, processIdentity } from '@spillway/runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseCommand, readStartConfig } from './config.ts';
import { openDataDirectory } from './data-directory.ts';
import { loadOf } from './load.ts';
import { createTeardown, inStep } from './steps.ts';
import { summary } from './summary.ts';

describe('the data directory', () => {
  let folder: string;
  const children: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'spillway-data-'));
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  async function spawnIdle(): Promise<{ pid: number; end: () => Promise<void> }> {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6); console.log("up")']);
    children.push(child);
    await once(child.stdout, 'data');
    const exited = once(child, 'exit');
    return {
      pid: child.pid ?? 0,
      end: async () => {
        child.kill('SIGKILL');
        await exited;
      },
    };
  }

  describe('openDataDirectory', () => {
    it('makes the directory, keeps everybody else out, and lets them in afterwards', async () => {
      const directory = path.join(folder, 'a', 'b');
      const first = await openDataDirectory(directory, false);
      const refusal: unknown = await openDataDirectory(directory, true).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'data_directory', reason: 'in_use' });
      expect(String(refusal)).toContain(`process ${process.pid}`);
      await first.lock.release();
      const second = await openDataDirectory(directory, false);
      await second.lock.release();
      expect(readdirSync(directory)).toEqual(['.spillway']);
    });

    it('lets one of many in', async () => {
      const attempts = await Promise.allSettled(Array.from({ length: 20 }, () => openDataDirectory(folder, false)));
      expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    });

    it("refuses a directory that holds somebody else's files, and touches none", async () => {
      writeFileSync(path.join(folder, 'thesis.txt'), 'precious');
      await expect(openDataDirectory(folder, true)).rejects.toMatchObject({ reason: 'not_ours' });
      expect(readdirSync(folder)).toEqual(['thesis.txt']);
    });

    it('says why a directory cannot be made', async () => {
      const file = path.join(folder, 'file');
      writeFileSync(file, '');
      for (const directory of [file, path.join(file, 'data'), '/proc/spillway/data']) {
        const refusal: unknown = await openDataDirectory(directory, false).catch((error: unknown) => error);
        expect(refusal).toMatchObject({ reason: 'not_writable', path: directory });
        expect(String(refusal)).toContain('SPILLWAY_DATA_DIR');
      }
    });

    it('wipes what is in it when asked, and only then', async () => {
      const first = await openDataDirectory(folder, false);
      mkdirSync(path.join(first.postgres, 'data'), { recursive: true });
      await first.lock.release();
      await (await openDataDirectory(folder, false)).lock.release();
      expect(readdirSync(folder)).toContain('postgres');
      const fresh = await openDataDirectory(folder, true);
      expect(readdirSync(folder).toSorted()).toEqual(['.spillway', 'lock']);
      await fresh.lock.release();
    });

    it('takes over from a dead copy, once the servers of that are gone', async () => {
      await (await openDataDirectory(folder, false)).lock.release();
      const [owner, server] = await Promise.all([spawnIdle(), spawnIdle()]);
      const identity = processIdentity(server.pid);
      const holder = { owner: processIdentity(owner.pid), servers: [identity] };
      writeFileSync(path.join(folder, 'lock'), JSON.stringify(holder));
      await expect(openDataDirectory(folder, false)).rejects.toMatchObject({ reason: 'in_use' });

      await owner.end();
      const opening = openDataDirectory(folder, false).then((data) => ({ data, early: isRunning(identity) }));
      // Many times what it would take to open it without waiting.
      for (let turns = 0; turns < 500; turns += 1) await setImmediate();
      await server.end();
      const { data, early } = await opening;
      expect(early).toBe(false);
      await data.lock.release();
    });

    it('is not kept out by a stranger who has the number of a dead copy, nor by a file that makes no sense', async () => {
      await (await openDataDirectory(folder, false)).lock.release();
      const owner = { pid: process.ppid, born: 'another boot/1' };
      for (const content of [JSON.stringify({ owner, servers: [owner] }), '{"owner":', '{}', '']) {
        writeFileSync(path.join(folder, 'lock'), content);
        const { lock } = await openDataDirectory(folder, false);
        expect(JSON.parse(readFileSync(path.join(folder, 'lock'), 'utf8'))).toMatchObject({
          owner: { pid: process.pid },
        });
        await lock.release();
      }
    });

    it('writes down who works in it', async () => {
      const { lock } = await openDataDirectory(folder, false);
      await lock.note([process.ppid]);
      expect(JSON.parse(readFileSync(path.join(folder, 'lock'), 'utf8'))).toMatchObject({
        owner: { pid: process.pid },
        servers: [{ pid: process.ppid }],
      });
      await lock.release();
    });
  });
});

describe('parseCommand', () => {
  it.each([
    [[], { kind: 'start', fresh: false, withLoad: false, install: true }],
    [['--fresh'], { kind: 'start', fresh: true, withLoad: false, install: true }],
    [['--', '--fresh'], { kind: 'start', fresh: true, withLoad: false, install: true }],
    [['--no-install', '--with-load'], { kind: 'start', fresh: false, withLoad: true, install: false }],
    [['-h'], { kind: 'help' }],
    [['--fresh', '--help'], { kind: 'help' }],
  ])('reads %j', (args, command) => {
    expect(parseCommand(args)).toEqual(command);
  });

  it.each([[['--frehs']], [['fresh']], [['--fresh=yes']]])('refuses %j and names it', (args) => {
    expect(parseCommand(args)).toEqual({ kind: 'mistake', message: expect.stringContaining('fre') });
  });
});

describe('readStartConfig', () => {
  it('keeps data in .data of the checkout unless told otherwise', () => {
    const root = path.resolve(import.meta.dirname, '../..');
    expect(readStartConfig({}).dataDir).toBe(path.join(root, '.data'));
    expect(readStartConfig({ SPILLWAY_DATA_DIR: 'x' }).dataDir).toBe(path.resolve('x'));
    expect(() => readStartConfig({ PORT: '-1' })).toThrow(ConfigError);
  });
});

describe('createTeardown', () => {
  it('undoes in reverse order, once, past failures, and what is added late too', async () => {
    const undone: string[] = [];
    const failed: string[] = [];
    const teardown = createTeardown((name) => failed.push(name));
    const add = (name: string): void => teardown.add(name, async () => void undone.push(name));
    add('first');
    teardown.add('broken', () => Promise.reject(new Error('no')));
    add('last');
    await Promise.all([teardown.run(), teardown.run()]);
    expect([undone, failed]).toEqual([['last', 'first'], ['broken']]);
    add('late');
    await teardown.run();
    expect(undone).toEqual(['last', 'first', 'late']);
  });
});

describe('inStep', () => {
  it('names the step, and finds a reason where a failed connection has none', async () => {
    const refused = new AggregateError([new Error('connect ECONNREFUSED ::1:5432')]);
    await expect(inStep('Migration', () => Promise.reject(refused))).rejects.toMatchObject({
      code: 'start_failed',
      message: 'Migration: connect ECONNREFUSED ::1:5432',
      cause: refused,
    });
  });
});

describe('summary', () => {
  const addresses = {
    port: 9000,
    redisUrl: 'redis://127.0.0.1:1',
    postgresUrl: 'postgres://postgres@127.0.0.1:2/spillway',
    dataDir: '/d',
    adminKey: 'sw_made-up',
  };
  const options = { searchPath: '/nowhere', cwd: path.resolve(import.meta.dirname, '../..') };

  it('gives commands that need no psql where there is none', () => {
    const text = summary(addresses, options);
    expect(text).toContain('localhost:9000/functions/v1/generate-content; done');
    expect(text).toContain(`node start/dist/query.js 'postgres://postgres@127.0.0.1:2/spillway' "SELECT COUNT(*)`);
    expect(text).toContain('postgresql-client');
  });

  it.each([
    ['redis://:hunter2@cache:6379/1', 'redis://:***@cache:6379/1'],
    ['redis-cluster://me:hunter2@a:6379,b:6379', 'redis-cluster://me:***@a:6379,b:6379'],
    ['redis-sentinel://a,b/main?sentinelPassword=hunter2', 'redis-sentinel://a,b/main?sentinelPassword=***'],
    ['redis://me:hun/ter2@2@cache', 'redis://me:***@cache'],
  ])('shows %s without its password', (redisUrl, shown) => {
    const text = summary({ ...addresses, redisUrl }, options);
    expect(text).toContain(`Redis     ${shown}\n`);
    expect(text).not.toContain('ter2');
  });

  it('shows no password, and lets the shell fill it in', () => {
    const text = summary({ ...addresses, postgresUrl: 'postgres://me:hunter2@db.test/x' }, options);
    expect(text).toContain('postgres://me:***@db.test/x');
    expect(text).toContain('"$DATABASE_URL" "SELECT');
    expect(text).not.toContain('hunter2');
  });
});

const middle = (): number => 0.5;
const subjectsOf = (second: number): readonly string[] => loadOf(second, middle).requests.map(({ subject }) => subject);
const floods = (second: number): boolean => subjectsOf(second).some((subject) => subject.startsWith('user:9'));
const guesses = (second: number): boolean => subjectsOf(second).includes('ip:203.0.113.0/24');
const fails = (second: number): boolean => loadOf(second, middle).calls.some(({ failure }) => failure !== undefined);

describe('loadOf', () => {
  it('floods and fails within the first five seconds of every minute, and guesses in its second half', () => {
    for (const minute of [0, 1, 60]) {
      const at = (second: number): number => minute * 60 + second;
      expect([floods(at(1)), floods(at(2)), floods(at(13)), floods(at(14))]).toEqual([false, true, true, false]);
      expect([fails(at(3)), fails(at(4)), fails(at(13)), fails(at(14))]).toEqual([false, true, true, false]);
      expect([guesses(at(29)), guesses(at(30)), guesses(at(49)), guesses(at(50))]).toEqual([false, true, true, false]);
    }
  });

  it('asks 31 to 80 times a second, of all four tiers', () => {
    const seconds = Array.from({ length: 600 }, (_, second) => loadOf(second, middle).requests);
    const counts = seconds.map(({ length }) => length);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(31);
    expect(Math.max(...counts)).toBeLessThanOrEqual(80);
    expect(new Set(seconds[0]?.map(({ policy }) => policy))).toEqual(
      new Set(['standard', 'generation', 'auth', 'strict']),
    );
  });
});
