import { expect, it } from 'vitest';
import { startChild } from './child.ts';

// A generator that died while nobody was waiting for it once left the whole scale test waiting for ever.
it('whoever waits for a process that has ended already hears so, with what it printed', async () => {
  const child = startChild<object, string>({ name: 'the child', entry: new URL('no-such-module.js', import.meta.url) });
  await expect.poll(() => child.hasExited(), { timeout: 10_000 }).toBe(true);
  await expect(child.next((event) => event)).rejects.toMatchObject({
    code: 'child_ended',
    message: expect.stringContaining('no-such-module'),
  });
});
