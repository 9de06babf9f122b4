import { type RedisServer, startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineScript, EncodedArgument } from './script.ts';
import { luaScript } from '../test/lua-script.ts';

let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

describe('defineScript', () => {
  it('goes on after SCRIPT FLUSH, and runs exactly once then', async () => {
    const script = defineScript(luaScript("return redis.call('INCR', KEYS[1])"), Number);
    await expect(script.run(redis, ['n'], [])).resolves.toBe(1);
    await redis.script('FLUSH');
    await expect(script.run(redis, ['n'], [])).resolves.toBe(2);
    await expect(script.run(redis, ['n'], [])).resolves.toBe(3);
  });

  it('sends the source only once for many calls', async () => {
    const script = defineScript(luaScript("return redis.call('PING')"), String);
    await redis.config('RESETSTAT');
    for (let call = 0; call < 5; call += 1) await script.run(redis, [], []);
    const stats = await redis.info('commandstats');
    expect(stats).toMatch(/cmdstat_eval:calls=1,/);
    expect(stats).toMatch(/cmdstat_evalsha:calls=5,/);
  });

  it('does not run a script again that failed for another reason', async () => {
    const script = defineScript(luaScript("redis.call('INCR', KEYS[1]) return redis.error_reply('ERR no')"), Number);
    await expect(script.run(redis, ['fails'], [])).rejects.toThrow('ERR no');
    await expect(redis.get('fails')).resolves.toBe('1');
  });

  it('hands bulk strings to decode as Buffers, so that packed replies survive', async () => {
    const script = defineScript(luaScript(String.raw`return '\255\0\128'`), (reply) => reply);
    await expect(script.run(redis, [], [])).resolves.toEqual(Buffer.from([255, 0, 128]));
  });

  it('sends text of any script, numbers and prepared bytes as they are', async () => {
    const script = defineScript(
      luaScript("return table.concat({ KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3] }, '|')"),
      (reply) => reply,
    );
    const bytes = Buffer.from([0, 13, 10, 128, 255]);
    const reply = await script.run(redis, ['{t}Grüße', '{t}日本🎏'], ['', 1.5, new EncodedArgument(bytes)]);
    expect(reply).toEqual(Buffer.concat([Buffer.from('{t}Grüße|{t}日本🎏||1.5|'), bytes]));
  });
});
