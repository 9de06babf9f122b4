import { afterEach, beforeEach, expect, it, vi, describe } from 'vitest';
import { type GuardedLogger, guardLogger, describeError, maskValues } from './guard-logger.ts';

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

describe('describeError', () => {
  it('leaves what it described as it is: a logger above another describes once more', () => {
    const facts = describeError(new Error('lost', { cause: new Error('below') }));
    expect(describeError(facts)).toBe(facts);
    expect(describeError({ message: 'postgres://ada:secret@db' })).toEqual({ message: '[object Object]' });
  });

  it('leaves out the arguments of a Redis command, and the detail of Postgres', () => {
    const error = Object.assign(new Error('WRONGPASS invalid username-password pair', { cause: new Error('below') }), {
      command: { name: 'hello', args: ['3', 'AUTH', 'app', 'S3cret'] },
      detail: 'Failing row contains (ada@example.org)',
      code: '23514',
    });
    const facts = describeError(error);
    expect(facts).toMatchObject({ type: 'Error', code: '23514', cause: { message: 'below' } });
    expect(JSON.stringify(facts)).not.toMatch(/S3cret|ada@/u);
  });

  it('ends on an error that is its own cause', () => {
    const circle = new Error('circle');
    circle.cause = circle;
    expect(JSON.stringify(describeError(circle))).toContain('circle');
  });

  it.each([undefined, null, 'text', { password: 'S3cret' }])('says what %j is, and no more', (thrown) => {
    expect(JSON.stringify(describeError(thrown))).not.toContain('S3cret');
  });
});

describe('maskValues', () => {
  it.each([
    [
      'Request cannot be constructed from a URL that includes credentials: https://bot:S3cret@example.org/x',
      'example.org',
    ],
    ["ERR unknown command 'EVALSHA2', with args beginning with: 'S3cret' 'more'", 'EVALSHA2'],
    ['invalid input syntax for type uuid: "S3cret"', 'uuid'],
    ['value "S3cret" is out of range for type integer', 'integer'],
    ['date/time field value out of range: "2024-01-01"', 'out of range'],
    ['connect to redis://:S3cret@cache:6379 failed', 'cache:6379'],
    ['DETAIL: Key (identifier)=(S3cret) already exists.', 'DETAIL'],
  ])('%s', (text, kept) => {
    expect(maskValues(text)).not.toContain('S3cret');
    expect(maskValues(text)).toContain(kept);
  });

  it('leaves other messages as they are', () => {
    for (const text of [
      'connect ECONNREFUSED 127.0.0.1:6379',
      "OOM command not allowed when used memory > 'maxmemory'.",
    ]) {
      expect(maskValues(text)).toBe(text);
    }
  });
});
