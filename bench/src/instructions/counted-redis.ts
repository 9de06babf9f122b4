import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';

const run = promisify(execFile);

/** A Redis server whose instructions are counted, by valgrind's callgrind: some fifty times slower than a free one. */
export interface CountedRedis {
  readonly client: Redis;
  /** As `7.0.15`. */
  version(): Promise<string>;
  /** How many instructions of user space the server takes for `work`. System calls count nothing. */
  count(work: () => Promise<unknown>): Promise<number>;
  stop(): Promise<void>;
}

/** @throws when `valgrind` or `redis-server` is not on the PATH. */
export async function startCountedRedis(): Promise<CountedRedis> {
  await Promise.all([run('valgrind', ['--version']), run('redis-server', ['--version'])]);
  const folder = await mkdtemp(path.join(tmpdir(), 'spillway-instructions-'));
  const socket = path.join(folder, 'redis.sock');
  const out = `--callgrind-out-file=${path.join(folder, 'out')}`;
  // One tick of the server's own work a second, so that little of it is counted.
  const server = ['redis-server', '--port', '0', '--unixsocket', socket, '--save', '', '--hz', '1'];
  const child = spawn('valgrind', ['--tool=callgrind', out, ...server], { cwd: folder, stdio: 'ignore' });
  const client = new Redis({ ...hotPathOptions, path: socket, socketTimeout: 60_000, retryStrategy: () => 200 });
  client.on('error', () => undefined);
  await new Promise<void>((resolve) => client.once('ready', resolve));
  const control = (flag: string) => run('callgrind_control', [flag, String(child.pid)]);
  return {
    client,
    version: async () => /^redis_version:(.*)$/m.exec(await client.info('server'))?.[1]?.trim() ?? 'unknown',
    async count(work) {
      await control('-z');
      await work();
      await control('-d');
      return readCount(folder);
    },
    async stop() {
      client.disconnect();
      child.kill('SIGTERM');
      await once(child, 'exit');
      await rm(folder, { recursive: true });
    },
  };
}

// Each dump is a file of its own: out.1, out.2 …
async function readCount(folder: string): Promise<number> {
  const dumps = (await readdir(folder)).filter((name) => /^out\.\d+$/.test(name));
  const last = Math.max(...dumps.map((name) => Number(name.slice(4))));
  const text = await readFile(path.join(folder, `out.${last}`), 'utf8');
  return Number(/^(?:summary|totals): (\d+)/m.exec(text)?.[1] ?? Number.NaN);
}
