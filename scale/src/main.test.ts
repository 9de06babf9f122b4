import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from './report/report.ts';

const program = [
  '--conditions=@spillway/source',
  '--import',
  'tsx',
  fileURLToPath(new URL('./main.ts', import.meta.url)),
];

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function scaleTest(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...program, ...args], { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

describe('scale-test', { timeout: 180_000 }, () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'spillway-scale-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('keeps ten thousand users connected, survives its kills, and finds nothing wrong', async () => {
    const { code, stdout, stderr } = await scaleTest(
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
    const failed = [...report.capacity, ...report.checks].filter(({ passed }) => !passed);
    expect(failed).toEqual([]);
    expect(code).toBe(0);
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
    expect(await scaleTest('--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('--profile') });
    expect(await scaleTest('--profile', 'huge')).toMatchObject({ code: 2, stderr: expect.stringContaining('huge') });
  });
});
