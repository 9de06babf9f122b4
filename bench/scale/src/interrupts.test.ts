import { readdirSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openHome, processesOf, type ScaleTestProcess, spawnScaleTest } from '../test/spawn-scale-test.ts';

const WAIT = { timeout: 60_000, interval: 20 };

describe('a scale test that is not wanted any more', { timeout: 120_000 }, () => {
  let home: string;
  let run: ScaleTestProcess;
  beforeEach(() => {
    home = openHome();
    run = spawnScaleTest(home, '--profile', 'free', '--duration', '12s');
  });
  afterEach(async () => {
    run.child.kill('SIGKILL');
    await run.exited;
    await vi.waitUntil(() => processesOf(home).length === 0, WAIT);
    rmSync(home, { recursive: true });
  });

  async function reach(line: string): Promise<void> {
    await expect.poll(run.stderr, WAIT).toContain(line);
  }

  async function expectNothingLeft(): Promise<void> {
    // A server's guard leaves a `sleep 0.1` behind, which ends by itself.
    await expect.poll(() => processesOf(home)).toEqual([]);
    // What tsx compiled is not ours; it is there with every program that runs from source.
    expect(readdirSync(home).filter((name) => !name.startsWith('tsx-'))).toEqual([]);
    expect(run.stdout()).toBe('');
  }

  it.each([
    ['while the servers come up', 'Starting Redis', 'SIGTERM', 143],
    ['while the fleet comes up', 'Starting 2 application processes', 'SIGINT', 130],
    ['under steady load', 'Steady load', 'SIGTERM', 143],
    ['while a killed process is replaced', 'kill -9 of an application process', 'SIGINT', 130],
    ['while the stored rows are compared', 'Draining', 'SIGTERM', 143],
  ] as const)('ends %s, takes everything with it, and says so', async (_, line, signal, code) => {
    await reach(line);
    run.child.kill(signal);
    expect(await run.exited, run.stderr()).toBe(code);
    expect(run.stderr()).toContain(`Stopped by ${signal}`);
    await expectNothingLeft();
  });

  it('ends when its load generator dies, and tells how', async () => {
    await reach('Steady load');
    const generator = processesOf(home).find(({ command }) => command.includes('/load/generator.'));
    process.kill(generator?.pid ?? 0, 'SIGSEGV');
    expect(await run.exited, run.stderr()).toBe(2);
    expect(run.stderr()).toContain('load generator ended by SIGSEGV');
    await expectNothingLeft();
  });
});
