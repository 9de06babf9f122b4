import { describe, expect, it } from 'vitest';
import type { BlockReport } from '../load/ledger.ts';
import { GENERATE } from '../plan.ts';
import { type Census, checkSoak, isOfKeptJobs } from './census.ts';
import {
  checkBlocks,
  checkTransitions,
  type StoredBlock,
  type StoredTransition,
  subjectOf,
  type TransitionsOptions,
} from './trail.ts';

const MB = 1024 * 1024;
const held = { name: 'app 1', liveBytes: 30 * MB, rssBytes: 100 * MB, openFiles: 70 };
const census: Census = {
  vitals: new Map([[1, held]]),
  redisClients: 20,
  lastingKeys: ['outbox', 'queue'],
  keptJobs: 10,
  expiringKeys: 100,
  poolerClients: 10,
  dbConnections: 5,
};

function failedAfter(change: Partial<Census>): readonly string[] {
  const checks = checkSoak({ before: census, after: { ...census, ...change }, users: 100, seconds: 60 });
  return checks.filter(({ passed }) => !passed).map(({ name }) => name);
}

describe('checkSoak', () => {
  it('passes what is as it was, and what became less', () => {
    expect(failedAfter({})).toEqual([]);
    expect(
      failedAfter({ redisClients: 19, lastingKeys: ['outbox'], vitals: new Map([[1, { ...held, rssBytes: MB }]]) }),
    ).toEqual([]);
  });

  it('names a key that is new and never expires', () => {
    const after = { ...census, lastingKeys: [...census.lastingKeys, 'forgotten'] };
    const checks = checkSoak({ before: census, after, users: 100, seconds: 60 });
    expect(checks.flatMap(({ details = [] }) => details)).toEqual(['it never expires, and is new: forgotten']);
  });

  it('takes jobs of a schedule that fell into the run for jobs that are kept, and no other key', () => {
    const queue = '{spillway}:spillway-maintenance';
    const kept = [`${queue}:17`, `${queue}:repeat:cron-create-partitions.2:1796085000000`, `${queue}:completed`];
    expect(kept.filter((key) => !isOfKeptJobs(key))).toEqual([]);
    const others = [`${queue}:meta`, `${queue}:repeat`, `${queue}:repeat:cron-archive-data`, '{sw:00}:outbox:17'];
    expect(others.filter(isOfKeptJobs)).toEqual([]);
  });

  it.each<[string, Partial<Census>]>([
    ['Memory in use', { vitals: new Map([[1, { ...held, liveBytes: 39 * MB }]]) }],
    ['Resident memory', { vitals: new Map([[1, { ...held, rssBytes: 165 * MB }]]) }],
    ['Open files and sockets', { vitals: new Map([[1, { ...held, openFiles: 73 }]]) }],
    ['Keys of Redis', { lastingKeys: ['outbox', 'queue', 'forgotten'] }],
    ['Keys of Redis', { keptJobs: 1_001 }],
    ['Keys of Redis', { expiringKeys: 901 }],
    ['Connections', { redisClients: 21 }],
    ['Connections', { poolerClients: 13 }],
    // Nothing was compared: every process is another one.
    ['Memory in use', { vitals: new Map([[2, held]]) }],
  ])('fails when %s grew: %j', (name, change) => {
    expect(failedAfter(change)[0]).toMatch(new RegExp(`^${name}`, 'u'));
  });
});

const seen = (sentMs: number, sure = true): BlockReport => ({
  user: 7,
  kind: GENERATE,
  sentMs,
  receivedMs: sentMs + 10,
  sure,
});
const stored = (createdAtMs: number, user = 7): StoredBlock => ({
  tier: 'generation',
  action: 'generate-content',
  identifier: subjectOf(user),
  createdAtMs,
});

describe('checkBlocks', () => {
  it('passes when each block has its row, and an unsure one may have none', () => {
    expect(checkBlocks([seen(100), seen(900), seen(950, false)], [stored(905), stored(110)]).passed).toBe(true);
    expect(checkBlocks([seen(950, false)], [stored(955)]).passed).toBe(true);
  });

  it.each([
    ['a row is missing', [seen(100)], [], 'no row'],
    ['a row appears twice', [seen(100)], [stored(101), stored(102)], 'several rows'],
    ['an unsure block has two rows', [seen(100, false)], [stored(101), stored(102)], 'several rows'],
    ['a row tells of a block that nobody saw', [seen(100)], [stored(100), stored(300)], 'nobody saw it'],
    ['a row is somebody else’s', [seen(100)], [stored(100, 8)], 'no row'],
    ['a row is of another time', [seen(100)], [stored(111)], 'no row'],
  ])('fails when %s', (_, blocks, rows, problem) => {
    const { passed, details } = checkBlocks(blocks, rows);
    expect(passed).toBe(false);
    expect(details?.join('\n')).toContain(problem);
  });
});

const row = (eventType: string, epoch: number): StoredTransition => ({ eventType, epoch });

const whole: TransitionsOptions = {
  heard: [
    { state: 'open', epoch: 10 },
    { state: 'open', epoch: 10 },
    { state: 'open', epoch: 30 },
    { state: 'closed', epoch: 50 },
  ],
  stored: [row('closed', 50), row('opened', 10), row('half_open', 20), row('opened', 30), row('half_open', 40)],
  last: { state: 'closed', epoch: 50 },
};

describe('checkTransitions', () => {
  it('passes a whole trail, in whichever order its rows come', () => {
    expect(checkTransitions(whole)).toMatchObject({ passed: true, details: [] });
  });

  it.each<[string, Partial<TransitionsOptions>, string]>([
    ['a row is missing', { stored: whole.stored.slice(0, 4) }, 'closed after opened'],
    ['two rows are missing', { stored: whole.stored.slice(0, 3) }, 'no row: opened in epoch 30'],
    ['a row appears twice', { stored: [...whole.stored, row('opened', 30)] }, 'opened after opened'],
    ['it never opened', { heard: [], stored: [] }, 'it was never opened'],
    ['it is open in the end', { last: { state: 'open', epoch: 50 } }, 'the breaker is open at the end'],
    ['Redis knows of one more', { last: { state: 'closed', epoch: 60 } }, 'the last row has epoch 50, Redis 60'],
  ])('fails when %s', (_, change, problem) => {
    const { passed, details } = checkTransitions({ ...whole, ...change });
    expect(passed).toBe(false);
    expect(details?.join('\n')).toContain(problem);
  });
});
