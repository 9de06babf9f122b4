import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openHome, spawnScaleTest } from '../test/spawn-scale-test.ts';
import type { Report } from './report/report.ts';

async function scaleTest(home: string, ...args: readonly string[]) {
  const { exited, stdout, stderr } = spawnScaleTest(home, ...args);
  return { code: await exited, stdout: stdout(), stderr: stderr() };
}

describe('scale-test', { timeout: 180_000 }, () => {
  let folder: string;
  beforeEach(() => {
    folder = openHome();
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('keeps ten thousand users connected, survives its kills, and finds nothing wrong', async () => {
    const { code, stdout, stderr } = await scaleTest(
      folder,
      '--profile',
      'scale',
      '--duration',
      '12s',
      '--json',
      '--out',
      folder,
    );
    expect(stdout, stderr).not.toBe('');
    const report: Report = JSON.parse(stdout);
    // Not how many generations an hour were served: a machine that runs other tests may serve fewer in these seconds.
    const capacity = report.capacity.filter(({ metric }) => metric !== 'Generations/hour');
    expect(capacity).toHaveLength(2);
    expect([...capacity, ...report.checks].filter(({ passed }) => !passed)).toEqual([]);
    expect(code).toBe(report.passed ? 0 : 1);
    expect(report.incidents.map(({ what }) => what)).toEqual([
      'kill -9 of an application process',
      'kill -9 of a worker',
      'the provider fails',
      'the provider works again',
    ]);
    expect(JSON.parse(await readFile(path.join(folder, 'report.json'), 'utf8'))).toEqual(report);
    expect(await readFile(path.join(folder, 'report.md'), 'utf8')).toContain(
      '| Concurrent users | 100 | 1,000 | 10,000+ | 10,000 | pass |',
    );
    const page = await readFile(path.join(folder, 'report.html'), 'utf8');
    expect(page.match(/<svg/g)).toHaveLength(8);
    expect(page).not.toMatch(/src=|href=|NaN|undefined/);
  });

  it.each([
    ['the pro profile', ['--profile', 'pro'], 'run'],
    ['the free profile with a Cluster of three masters', ['--profile', 'free', '--cluster'], 'cluster'],
  ])('finds nothing wrong with %s', async (_, args, kind) => {
    const { stdout, stderr } = await scaleTest(folder, ...args, '--duration', '12s', '--json', '--out', folder);
    expect(stdout, stderr).not.toBe('');
    const report: Report = JSON.parse(stdout);
    expect(report.kind).toBe(kind);
    expect(report.checks.filter(({ passed }) => !passed)).toEqual([]);
    // Otherwise the API might stand idle beside a fleet that decides in Redis.
    expect(report.checks.map(({ name }) => name)).toContain(
      "Each second application process decided through Spillway's API",
    );
    expect(await readdir(folder)).toContain(kind === 'cluster' ? 'cluster.md' : 'report.html');
  });

  it('ends a soak with as much memory, as many handles, keys and connections as it began with', async () => {
    const { stdout, stderr } = await scaleTest(folder, '--soak', '--duration', '20s', '--json', '--out', folder);
    expect(stdout, stderr).not.toBe('');
    const report: Report = JSON.parse(stdout);
    expect(report.checks.filter(({ passed }) => !passed)).toEqual([]);
    const ended = report.checks.filter(({ name }) => name.endsWith('ended where it began'));
    expect(ended).toHaveLength(2);
    expect(report.checks.filter(({ name }) => name.endsWith('ended where they began'))).toHaveLength(3);
    expect(report.incidents.filter(({ what }) => what === 'the provider fails').length).toBeGreaterThanOrEqual(2);
    expect(await readFile(path.join(folder, 'soak.md'), 'utf8')).toContain('# Soak: Free Tier');
  });

  it('explains itself, and a mistake', async () => {
    expect(await scaleTest(folder, '--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('--profile') });
    expect(await scaleTest(folder, '--profile', 'huge')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('huge'),
    });
  });
});
