import { describe, expect, it } from 'vitest';
import { parseCommand } from './arguments.ts';

describe('parseCommand', () => {
  it('has defaults for everything', () => {
    const defaults = { kind: 'run', profile: 'free', durationMs: 60_000, json: false, out: undefined };
    expect(parseCommand([])).toEqual(defaults);
  });

  it('takes what is given, behind the two dashes that pnpm passes on', () => {
    const args = ['--', '--profile', 'scale', '--duration', '5m', '--json', '--out', 'docs/scale'];
    const expected = { kind: 'run', profile: 'scale', durationMs: 300_000, json: true, out: 'docs/scale' };
    expect(parseCommand(args)).toEqual(expected);
  });

  it.each([
    [['--profile', 'huge'], '--profile must be free, pro or scale, not "huge"'],
    [['--profile', 'constructor'], '--profile'],
    [['--duration', '5'], '--duration must be 12s to 60m, not "5"'],
    [['--duration', '11s'], '--duration'],
    [['--duration', '61m'], '--duration'],
    [['--duration', '-60s'], '--duration'],
    [['--out', ''], '--out'],
    [['--fast'], '--fast'],
    [['scale'], 'scale'],
  ])('refuses %j', (args, message) => {
    expect(parseCommand(args)).toMatchObject({ kind: 'mistake', message: expect.stringContaining(message) });
  });
});
