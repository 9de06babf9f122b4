import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makeFolder } from './make-folder.ts';

async function temporary(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'spillway-folder-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

it('makes a folder and those above it, once, however many make it at the same time', async () => {
  const root = await temporary();
  const folder = path.join(root, 'a', 'b', 'c');
  await Promise.all(Array.from({ length: 20 }, () => makeFolder(folder)));
  await makeFolder(folder);
  expect((await stat(folder)).isDirectory()).toBe(true);
});

it('says what is in the way, and makes nothing', async () => {
  const root = await temporary();
  const file = path.join(root, 'file');
  await writeFile(file, '');
  await expect(makeFolder(file)).rejects.toMatchObject({ code: 'EEXIST', path: file });
  await expect(makeFolder(path.join(file, 'a', 'b'))).rejects.toMatchObject({ code: 'ENOTDIR' });
  expect(await readdir(root)).toEqual(['file']);
});

it.runIf(process.platform === 'linux')('ends where the file system makes no folders', async () => {
  await expect(makeFolder('/proc/spillway/a')).rejects.toMatchObject({ code: 'ENOENT', path: '/proc/spillway' });
});
