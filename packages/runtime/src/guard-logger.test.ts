import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type GuardedLogger, guardLogger } from './guard-logger.ts';

interface Line {
  readonly facts: Record<string, unknown>;
  readonly message: string;
}

function recorder(): { logger: GuardedLogger; lines: Line[] } {
  const lines: Line[] = [];
  const write = (facts: unknown, message?: string): void =>
    void lines.push({ facts: { ...Object(facts) }, message: message ?? '' });
  return { logger: { debug: write, info: write, warn: write, error: write }, lines };
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

it('passes an error on without the properties that hold secrets', () => {
  const { logger, lines } = recorder();
  guardLogger(logger).warn(
    { err: Object.assign(new Error('no'), { command: { args: ['S3cret'] } }), job: 'x' },
    'failed',
  );
  expect(lines).toMatchObject([{ facts: { job: 'x', err: { type: 'Error', message: 'no' } }, message: 'failed' }]);
  expect(JSON.stringify(lines)).not.toContain('S3cret');
});

it('passes a few lines of one message on, and later says how many it left out', () => {
  const { logger, lines } = recorder();
  const guarded = guardLogger(logger);
  for (let turn = 0; turn < 1_000; turn += 1) guarded.error({ turn }, 'again');
  expect(lines).toHaveLength(3);
  vi.advanceTimersByTime(10_000);
  guarded.error({ turn: 1_000 }, 'again');
  expect(lines.at(-1)?.facts).toEqual({ turn: 1_000, suppressed: 997 });
});

it('never passes more than ten warnings a second on, of however many messages and loggers of one program', () => {
  const { logger, lines } = recorder();
  const guards = [guardLogger(logger), guardLogger(logger)];
  for (let turn = 0; turn < 100; turn += 1) guards[turn % 2]?.warn({}, `message ${turn}`);
  expect(lines.length).toBeLessThan(10);
});

it('tells jobs, tables and rules apart, and passes all lines of level debug on', () => {
  const { logger, lines } = recorder();
  const guarded = guardLogger(logger);
  for (let table = 0; table < 20; table += 1) guarded.info({ table: `t${table}` }, 'done');
  expect(lines).toHaveLength(20);
  for (let turn = 0; turn < 20; turn += 1) guarded.debug({}, 'queued');
  expect(lines).toHaveLength(40);
});

it('takes a message without facts', () => {
  const { logger, lines } = recorder();
  guardLogger(logger).info('worker: stopped');
  expect(lines).toEqual([{ facts: {}, message: 'worker: stopped' }]);
});
