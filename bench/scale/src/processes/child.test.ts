import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { type Child, type ChildError, startChild } from './child.ts';

interface Started {
  readonly child: Child<object, string>;
  readonly deaths: ChildError[];
}

async function start(program: string, nodeArgs: readonly string[] = []): Promise<Started> {
  const folder = mkdtempSync(path.join(tmpdir(), 'spillway-child-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'child.mjs');
  await writeFile(file, program);
  const deaths: ChildError[] = [];
  const onDeath = (death: ChildError): void => void deaths.push(death);
  return { child: startChild({ name: 'the child', entry: pathToFileURL(file), nodeArgs, onDeath }), deaths };
}

const anything = (event: string): string => event;

// A load generator that died while nobody was waiting for it once left the whole scale test waiting forever.
it('reports an unexpected exit, and rejects those that wait for the process, with exit code and last output', async () => {
  const { child, deaths } = await start('console.error("so long"); process.exit(7);');
  await expect.poll(() => deaths).toHaveLength(1);
  expect(deaths[0]).toMatchObject({ code: 'child_ended', exitCode: 7, signal: null });
  await expect(child.next(anything)).rejects.toThrow(/^the child ended with exit code 7; it printed last:\nso long$/);
});

it('tells the signal, and says so when nothing was printed', async () => {
  const { child, deaths } = await start('process.send("up"); setInterval(() => {}, 1000);');
  await child.next(anything);
  process.kill(child.pid, 'SIGTERM');
  await expect(child.next(anything)).rejects.toThrow(/^the child ended by SIGTERM; it printed last:\n\(nothing\)$/);
  expect(deaths).toHaveLength(1);
});

it('tells of an exhausted heap', async () => {
  const hoard = 'const hoard = []; for (;;) hoard.push(new Array(1000).fill(Math.random()));';
  const { child } = await start(hoard, ['--max-old-space-size=20']);
  await expect(child.next(anything)).rejects.toMatchObject({
    signal: 'SIGABRT',
    message: expect.stringContaining('heap'),
  });
});

it('is silent about a death that was asked for', async () => {
  const { child, deaths } = await start('process.send("up"); setInterval(() => {}, 1000);');
  await child.next(anything);
  await child.kill();
  expect(deaths).toEqual([]);
});
