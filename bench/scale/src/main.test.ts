import { readFile, rm } from 'node:fs/promises';
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
      'kill -9 of an API process',
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

  it('explains itself, and a mistake', async () => {
    expect(await scaleTest(folder, '--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('--profile') });
    expect(await scaleTest(folder, '--profile', 'huge')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('huge'),
    });
  });
});
