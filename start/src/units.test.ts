import path from 'node:path';
import { ConfigError } from '@spillway/runtime';
import { describe, expect, it } from 'vitest';
import { readStartConfig, parseCommand } from './config.ts';
import { loadOf } from './load.ts';
import { inStep, createTeardown } from './steps.ts';
import { summary } from './summary.ts';

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
