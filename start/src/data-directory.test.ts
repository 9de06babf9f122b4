import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isRunning, processIdentity } from '@spillway/runtime';
import { openDataDirectory } from './data-directory.ts';

let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'spillway-data-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

async function spawnIdle(): Promise<{ pid: number; end: () => Promise<void> }> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6); console.log("up")']);
  children.push(child);
  await once(child.stdout, 'data');
  const exited = once(child, 'exit');
  return {
    pid: child.pid ?? 0,
    end: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

describe('openDataDirectory', () => {
  it('makes the directory, keeps everybody else out, and lets them in afterwards', async () => {
    const directory = path.join(folder, 'a', 'b');
    const first = await openDataDirectory(directory, false);
    const refusal: unknown = await openDataDirectory(directory, true).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'data_directory', reason: 'in_use' });
    expect(String(refusal)).toContain(`process ${process.pid}`);
    await first.lock.release();
    const second = await openDataDirectory(directory, false);
    await second.lock.release();
    expect(readdirSync(directory)).toEqual(['.spillway']);
  });

  it('lets one of many in', async () => {
    const attempts = await Promise.allSettled(Array.from({ length: 20 }, () => openDataDirectory(folder, false)));
    expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it("refuses a directory that holds somebody else's files, and touches none", async () => {
    writeFileSync(path.join(folder, 'thesis.txt'), 'precious');
    await expect(openDataDirectory(folder, true)).rejects.toMatchObject({ reason: 'not_ours' });
    expect(readdirSync(folder)).toEqual(['thesis.txt']);
  });

  it('wipes what is in it when asked, and only then', async () => {
    const first = await openDataDirectory(folder, false);
    mkdirSync(path.join(first.postgres, 'data'), { recursive: true });
    await first.lock.release();
    await (await openDataDirectory(folder, false)).lock.release();
    expect(readdirSync(folder)).toContain('postgres');
    const fresh = await openDataDirectory(folder, true);
    expect(readdirSync(folder).toSorted()).toEqual(['.spillway', 'lock']);
    await fresh.lock.release();
  });

  it('takes over from a dead copy, once the servers of that are gone', async () => {
    await (await openDataDirectory(folder, false)).lock.release();
    const [owner, server] = await Promise.all([spawnIdle(), spawnIdle()]);
    const identity = processIdentity(server.pid);
    const holder = { owner: processIdentity(owner.pid), servers: [identity] };
    writeFileSync(path.join(folder, 'lock'), JSON.stringify(holder));
    await expect(openDataDirectory(folder, false)).rejects.toMatchObject({ reason: 'in_use' });

    await owner.end();
    const opening = openDataDirectory(folder, false).then((data) => ({ data, early: isRunning(identity) }));
    // Many times what it would take to open it without waiting.
    for (let turns = 0; turns < 500; turns += 1) await setImmediate();
    await server.end();
    const { data, early } = await opening;
    expect(early).toBe(false);
    await data.lock.release();
  });

  it('is not kept out by a stranger who has the number of a dead copy, nor by a file that makes no sense', async () => {
    await (await openDataDirectory(folder, false)).lock.release();
    const owner = { pid: process.ppid, born: 'another boot/1' };
    for (const content of [JSON.stringify({ owner, servers: [owner] }), '{"owner":', '{}', '']) {
      writeFileSync(path.join(folder, 'lock'), content);
      const { lock } = await openDataDirectory(folder, false);
      expect(JSON.parse(readFileSync(path.join(folder, 'lock'), 'utf8'))).toMatchObject({
        owner: { pid: process.pid },
      });
      await lock.release();
    }
  });

  it('writes down who works in it', async () => {
    const { lock } = await openDataDirectory(folder, false);
    await lock.note([process.ppid]);
    expect(JSON.parse(readFileSync(path.join(folder, 'lock'), 'utf8'))).toMatchObject({
      owner: { pid: process.pid },
      servers: [{ pid: process.ppid }],
    });
    await lock.release();
  });
});
