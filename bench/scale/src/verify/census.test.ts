import { describe, expect, it } from 'vitest';
import { type Census, checkSoak } from './census.ts';

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
