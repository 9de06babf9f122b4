import path from 'node:path';
import { ConfigError } from '@spillway/runtime';
import { describe, expect, it } from 'vitest';
import { parseCommand } from './arguments.ts';
import { readStartConfig } from './config.ts';
import { inStep } from './start-error.ts';
import { summary } from './summary.ts';
import { createTeardown } from './teardown.ts';

describe('parseCommand', () => {
  it.each([
    [[], { kind: 'start', fresh: false }],
    [['--fresh'], { kind: 'start', fresh: true }],
    [['--', '--fresh'], { kind: 'start', fresh: true }],
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
    expect(text).toContain(`node start/dist/query/main.js 'postgres://postgres@127.0.0.1:2/spillway' "SELECT COUNT(*)`);
    expect(text).toContain('postgresql-client');
  });

  it('shows no password, and lets the shell fill it in', () => {
    const text = summary({ ...addresses, postgresUrl: 'postgres://me:hunter2@db.test/x' }, options);
    expect(text).toContain('postgres://me:***@db.test/x');
    expect(text).toContain('"$DATABASE_URL" "SELECT');
    expect(text).not.toContain('hunter2');
  });
});
