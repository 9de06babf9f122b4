import { compiled, startProgram } from '@spillway/local-servers/testing';
import { expect, test } from 'vitest';

const fixture = await compiled(new URL('../test/shutdown.fixture.ts', import.meta.url));

async function startFixture(
  closing: 'quick' | 'fails' | 'late' | 'hangs',
  startedBy: 'service' | 'person' = 'service',
) {
  const program = startProgram(fixture, {}, [closing, startedBy]);
  await expect.poll(() => program.output()).toContain('listening');
  const port = /"port":(\d+)/u.exec(program.output())?.[1];
  const get = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  return { ...program, get };
}

test.each(['SIGTERM', 'SIGINT'] as const)('%s closes and ends with 0', async (signal) => {
  const { child, exited, output } = await startFixture('quick');
  child.kill(signal);
  expect(await exited).toBe(0);
  expect(output()).toContain(`{"signal":"${signal}","message":"fixture: stopping"}`);
  expect(output()).toContain('fixture: stopped');
});

test('a signal that comes twice at once, as Ctrl-C does under npx, counts once: the close goes on to its deadline', async () => {
  const { child, exited, output } = await startFixture('late');
  child.kill('SIGINT');
  child.kill('SIGTERM');
  expect(await exited).toBe(1);
  expect(output().match(/: stopping/gu)).toHaveLength(1);
  expect(output()).toContain('fixture: not stopped in time, exiting');
});

test('a terminal that is closed ends what a person started, and leaves a service to Node', async () => {
  const [person, service] = await Promise.all([startFixture('quick', 'person'), startFixture('quick')]);
  person.child.kill('SIGHUP');
  expect(await person.exited).toBe(0);
  expect(person.output()).toContain('{"signal":"SIGHUP","message":"fixture: stopping"}');
  service.child.kill('SIGHUP');
  expect(await service.exited).toBeNull();
  expect(service.output()).not.toContain('stopping');
});

test('a request in flight is answered before the process ends', async () => {
  const { child, exited, output, get } = await startFixture('quick');
  const slow = get('/slow');
  await expect.poll(() => output()).toContain('in flight');
  child.kill('SIGTERM');
  expect(await slow).toBe('finished');
  expect(await exited).toBe(0);
});

test.each(['SIGTERM', 'SIGINT'] as const)('a second %s ends a close that hangs at once', async (signal) => {
  const { child, exited, output } = await startFixture('hangs');
  child.kill(signal);
  await expect.poll(() => output()).toContain('stopping');
  const repeat = setInterval(() => child.kill(signal), 50);
  expect(await exited).toBe(signal === 'SIGTERM' ? 143 : 130);
  clearInterval(repeat);
});

test.each(['/rejects-nothing', '/rejects-null', '/rejects-zero', '/rejects', '/throws'])(
  'an error that nothing catches (%s) closes and ends with 1',
  async (path) => {
    const { exited, output, get } = await startFixture('quick');
    await get(path).catch(() => '');
    expect(await exited).toBe(1);
    expect(output()).toContain('fixture: uncaught error, stopping');
    expect(output()).toContain('fixture: stopped');
  },
);

test('such an error is logged though the log has used up its quota', async () => {
  const { exited, output, get } = await startFixture('quick');
  await get('/floods').catch(() => '');
  expect(await exited).toBe(1);
  expect(output()).not.toContain('trouble 19');
  expect(output()).toContain('fixture: uncaught error, stopping');
});

test('a close that fails is logged and ends with 1', async () => {
  const { child, exited, output } = await startFixture('fails');
  child.kill('SIGTERM');
  expect(await exited).toBe(1);
  expect(output()).toContain('fixture: stopping failed');
});

test('a close that takes longer than its deadline is ended with 1', async () => {
  const { child, exited, output } = await startFixture('late');
  child.kill('SIGTERM');
  expect(await exited).toBe(1);
  expect(output()).toContain('fixture: not stopped in time, exiting');
});

test('an error that nothing catches during a close that hangs leaves the deadline in force', async () => {
  const { child, exited, output, get } = await startFixture('late');
  const answer = get('/rejects-nothing').catch(() => '');
  child.kill('SIGTERM');
  await answer;
  expect(await exited).toBe(1);
  expect(output()).toContain('fixture: not stopped in time, exiting');
});
