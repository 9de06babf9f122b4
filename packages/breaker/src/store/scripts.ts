import { defineScript, luaFiles, type RedisScript } from '@spillway/redis';
import { UnexpectedReplyError } from './wire.ts';

const lua = (name: string): URL => new URL(`../../lua/${name}.lua`, import.meta.url);

/** Reads the script. `clock` is the Lua file that tells the time; tests pass one that they turn by hand. */
export function breakerScript(clock: URL = luaFiles.clock): RedisScript<string> {
  const parts = ['breaker-record', 'breaker-window', 'breaker-audit', 'breaker'].map(lua);
  return defineScript({
    name: 'breaker',
    files: [clock, luaFiles.outbox, ...parts],
    decode: (reply) => {
      if (Buffer.isBuffer(reply)) return reply.toString('utf8');
      throw new UnexpectedReplyError(`expected a string, got ${typeof reply}`);
    },
  });
}
