import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type RedisServer, startRedis } from '@spillway/embedded';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PreparedArgument } from './script-call.ts';
import { defineScript } from './script.ts';

let server: RedisServer;
let redis: Redis;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'spillway-script-'));
  server = await startRedis();
  redis = new Redis(server.url);
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  await server.stop();
  rmSync(folder, { recursive: true });
});

function lua(name: string, source: string): URL {
  const file = join(folder, name);
  writeFileSync(file, source);
  return pathToFileURL(file);
}

describe('defineScript', () => {
  it('joins its files so that later ones use the functions of earlier ones', async () => {
    const files = [
      lua('double.lua', 'local function double(n) return n * 2 end'),
      lua('use.lua', 'return double(tonumber(ARGV[1]))'),
    ];
    const script = defineScript({ name: 'use', files, decode: Number });
    await expect(script.run(redis, [], [21])).resolves.toBe(42);
  });

  it('makes the functions of some files only when they are asked for', async () => {
    const rare = [lua('triple.lua', 'local function triple(n) return n * 3 end'), lua('give.lua', 'return triple')];
    const ask = lua('ask.lua', "return ARGV[1] == 'rare' and rare()(tonumber(ARGV[2])) or 0");
    const script = defineScript({ name: 'ask', files: [{ as: 'rare', files: rare }, ask], decode: Number });
    await expect(script.run(redis, [], ['rare', 7])).resolves.toBe(21);
    await expect(script.run(redis, [], ['common', 7])).resolves.toBe(0);
  });

  it('goes on after SCRIPT FLUSH, and runs exactly once then', async () => {
    const script = defineScript({
      name: 'count',
      files: [lua('count.lua', "return redis.call('INCR', KEYS[1])")],
      decode: Number,
    });
    await expect(script.run(redis, ['n'], [])).resolves.toBe(1);
    await redis.script('FLUSH');
    await expect(script.run(redis, ['n'], [])).resolves.toBe(2);
    await expect(script.run(redis, ['n'], [])).resolves.toBe(3);
  });

  it('sends the source only once for many calls', async () => {
    const script = defineScript({
      name: 'once',
      files: [lua('once.lua', "return redis.call('PING')")],
      decode: String,
    });
    await redis.config('RESETSTAT');
    for (let call = 0; call < 5; call += 1) await script.run(redis, [], []);
    const stats = await redis.info('commandstats');
    expect(stats).toMatch(/cmdstat_eval:calls=1,/);
    expect(stats).toMatch(/cmdstat_evalsha:calls=5,/);
  });

  it('does not run a script again that failed for another reason', async () => {
    const files = [lua('fails.lua', "redis.call('INCR', KEYS[1]) return redis.error_reply('ERR no')")];
    const script = defineScript({ name: 'fails', files, decode: Number });
    await expect(script.run(redis, ['fails'], [])).rejects.toThrow('ERR no');
    await expect(redis.get('fails')).resolves.toBe('1');
  });

  it('hands bulk strings to decode as Buffers, so that packed replies survive', async () => {
    const files = [lua('bytes.lua', String.raw`return '\255\0\128'`)];
    const script = defineScript({ name: 'bytes', files, decode: (reply) => reply });
    await expect(script.run(redis, [], [])).resolves.toEqual(Buffer.from([255, 0, 128]));
  });

  it('sends text of any script, numbers and prepared bytes as they are', async () => {
    const echo = lua('echo.lua', "return table.concat({ KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3] }, '|')");
    const script = defineScript({ name: 'echo', files: [echo], decode: (reply) => reply });
    const bytes = Buffer.from([0, 13, 10, 128, 255]);
    const reply = await script.run(redis, ['{t}Grüße', '{t}日本🎏'], ['', 1.5, new PreparedArgument(bytes)]);
    expect(reply).toEqual(Buffer.concat([Buffer.from('{t}Grüße|{t}日本🎏||1.5|'), bytes]));
  });
});
