import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BARE } from '../instructions/cases.ts';
import { type Conditions, type Run } from '../results.ts';
import type { Goal } from '../section.ts';
import { type Change, type CompareOptions, compareStates, readState, report, type State } from './compare.ts';

const quiet: Conditions = { before: { load: 0, othersShare: 0.01 }, after: { load: 1, othersShare: 0.02 } };
const busy: Conditions = { before: { load: 9, othersShare: 0.8 }, after: { load: 9, othersShare: 0.8 } };

const goal: Goal = { name: 'speed', measured: 4, bound: 4, better: 'more', unit: '×', noise: 0.1 };

interface Side extends Partial<Goal> {
  readonly conditions?: Conditions;
  readonly machine?: string;
  readonly section?: string;
}

function state({ conditions = quiet, machine = 'one', section = 'limiter', ...changed }: Side): State {
  const run: Run = { title: '', date: '', machine, conditions, tables: [], goals: [{ ...goal, ...changed }] };
  return { runs: new Map([[section, run]]), counts: {} };
}

function compared(before: Side, after: Side, options?: CompareOptions): Change | undefined {
  return compareStates(state(before), state(after), options)[0];
}

describe('a ratio', () => {
  test.each([
    ['more', 4, 3.4, 'same'],
    ['more', 4, 3.3, 'worse'],
    ['more', 4, 4.7, 'same'],
    ['more', 4, 5, 'better'],
    ['less', 1, 1.19, 'same'],
    ['less', 1, 1.21, 'worse'],
    ['less', 1, 0.8, 'better'],
  ] as const)('of which %s is better, from %f to %f is %s at a noise of a tenth', (better, was, is, verdict) => {
    expect(compared({ better, measured: was }, { better, measured: is })?.verdict).toBe(verdict);
  });

  test('may differ as much as the noisier of the two sides says', () => {
    expect(compared({ measured: 4, noise: 0.3 }, { measured: 2.6 })?.verdict).toBe('same');
  });

  test('is judged on a busy machine too, unless only quiet runs are wanted', () => {
    const sides = [{ measured: 4 }, { measured: 1, conditions: busy }] as const;
    expect(compared(...sides)?.verdict).toBe('worse');
    expect(compared(...sides, { onlyQuiet: true })?.verdict).toBe('not judged');
    expect(compared({ measured: 4 }, { measured: 1 }, { onlyQuiet: true })?.verdict).toBe('worse');
  });
});

describe('a time or a speed', () => {
  const [fast, slow] = [
    { unit: '/s', measured: 100 },
    { unit: '/s', measured: 10 },
  ] as const;

  test('is judged when both runs are of quiet machines of one kind', () => {
    expect(compared(fast, slow)?.verdict).toBe('worse');
  });

  test('is not judged on another machine, nor on a busy one', () => {
    expect(compared(fast, { ...slow, machine: 'other' })?.verdict).toBe('not judged');
    expect(compared({ ...fast, conditions: busy }, slow)?.verdict).toBe('not judged');
  });
});

const nothing: State = { runs: new Map(), counts: {} };

test('a new goal is shown and not judged', () => {
  const changes = compareStates(nothing, state({}));
  expect(changes).toEqual([expect.objectContaining({ before: undefined, after: 4, verdict: 'not judged' })]);
});

describe('a goal', () => {
  test('that is gone is told, whatever else can be compared', () => {
    const [change] = compareStates(state({ conditions: busy }), nothing, { onlyQuiet: true });
    expect(change).toMatchObject({ before: 4, after: undefined, verdict: 'goal dropped' });
  });

  test.each([
    ['more', 5, 4, 'goal lowered'],
    ['more', 4, 5, 'same'],
    ['less', 1, 1.2, 'goal lowered'],
    ['less', 1.2, 1, 'same'],
  ] as const)('of which %s is better, moved from %f to %f, is %s', (better, was, is, verdict) => {
    expect(compared({ better, bound: was }, { better, bound: is })?.verdict).toBe(verdict);
  });

  test('that was nought and still is has become neither better nor worse, and above nought it is worse', () => {
    const none = { better: 'less', measured: 0 } as const;
    expect(compared(none, none)).toMatchObject({ worseBy: 0, verdict: 'same' });
    expect(compared(none, { ...none, measured: 3 })?.verdict).toBe('worse');
  });

  test('names the decision of its topic', () => {
    const dashboard = state({ section: 'dashboard' });
    expect(compareStates(dashboard, dashboard)).toEqual([expect.objectContaining({ adr: 106 })]);
    expect(report(compareStates(dashboard, dashboard))).toContain(
      '| dashboard: speed | 4 | 4 | 0 % | 20 % | same | ADR 106 |',
    );
  });
});

describe('instruction counts', () => {
  test('may grow by a twentieth', () => {
    expect(verdicts(1_000, 1_049)).toEqual(['same', 'same']);
    expect(verdicts(1_000, 1_060)).toEqual(['same', 'worse']);
    expect(verdicts(1_000, 900)).toEqual(['same', 'better']);
  });

  test('are multiples of a bare call: another build of Redis changes nothing', () => {
    expect(verdicts(1_000, 1_200, 120)).toEqual(['same', 'same']);
  });
});

function verdicts(before: number, after: number, bareAfter = 100): readonly string[] {
  return compareStates(
    { runs: new Map(), counts: { [BARE]: 100, decision: before } },
    { runs: new Map(), counts: { [BARE]: bareAfter, decision: after } },
  ).map(({ verdict }) => verdict);
}

test('the report begins with what became worse', () => {
  const counts = { [BARE]: 100, decision: 1_000 };
  const text = report(
    compareStates({ runs: new Map(), counts }, { runs: new Map(), counts: { ...counts, decision: 2_000 } }),
  );
  expect(text.split('\n')[2]).toBe('| instructions: decision | 1,000 | 2,000 | +100 % | 5 % | **worse** | ADR 20 |');
});

describe('a state of the repository', () => {
  const main = fileURLToPath(new URL('main.ts', import.meta.url));
  const kept = { title: 'Limiter', date: '', machine: '', goals: [], tables: [] };
  let folder = '';

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'spillway-compare-'));
    await mkdir(path.join(folder, 'results'));
    await writeFile(path.join(folder, 'results', 'limiter.json'), JSON.stringify(kept));
    await writeFile(path.join(folder, 'instructions.json'), '{ "one": 1 }');
  });
  afterEach(async () => rm(folder, { recursive: true }));

  test('a folder has its results and its counts', async () => {
    expect(await readState(folder)).toEqual({ runs: new Map([['limiter', kept]]), counts: { one: 1 } });
  });

  test('a file is the results of one section, or the counts', async () => {
    const results = await readState(path.join(folder, 'results', 'limiter.json'));
    expect(results).toEqual({ runs: new Map([['limiter', kept]]), counts: {} });
    expect(await readState(path.join(folder, 'instructions.json'))).toEqual({ runs: new Map(), counts: { one: 1 } });
  });

  test('what is no path is a revision of Git, and an error when it is none', async () => {
    await expect(readState('no-such-revision')).rejects.toThrow('no-such-revision');
  });

  test('the command fails when a goal was lowered, and says which', async () => {
    const [before, after] = ['before', 'after'].map((name) => path.join(folder, name, 'limiter.json'));
    for (const [file = '', bound] of [
      [before, 5],
      [after, 4],
    ] as const) {
      await mkdir(path.dirname(file));
      await writeFile(file, JSON.stringify({ ...kept, conditions: quiet, goals: [{ ...goal, bound }] }));
    }
    expect(runCompare(after, before)).not.toContain('lowered');
    expect(() => runCompare(before, after)).toThrow(
      expect.objectContaining({ stdout: expect.stringContaining('Goals that were lowered or dropped: 1.') }),
    );
  });

  test('the command fails when an instruction count grew, and says which', async () => {
    const [before, after] = ['before', 'after'].map((name) => path.join(folder, name, 'instructions.json'));
    for (const [file = '', decision] of [
      [before, 100],
      [after, 200],
    ] as const) {
      await mkdir(path.dirname(file));
      await writeFile(file, JSON.stringify({ 'EVALSHA of return 1': 100, decision }));
    }
    expect(runCompare(before, before)).toContain('0 of 2 figures became worse');
    expect(() => runCompare(before, after)).toThrow(
      expect.objectContaining({ stdout: expect.stringContaining('| instructions: decision | 100 | 200 |') }),
    );
  });

  function runCompare(...args: readonly (string | undefined)[]): string {
    const node = ['--conditions=@spillway/source', '--import', 'tsx', main];
    return execFileSync(process.execPath, [...node, ...args.map(String)], { encoding: 'utf8' });
  }
});
