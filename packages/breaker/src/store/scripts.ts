import { defineScript, type LuaScript, type RedisScript } from '@spillway/redis';
import { breaker } from '../scripts.generated.ts';
import { UnexpectedReplyError } from './wire.ts';

/** The script of a store. Tests pass one whose clock they turn by hand. */
export function breakerScript(lua: LuaScript = breaker): RedisScript<string> {
  return defineScript(lua, (reply) => {
    if (Buffer.isBuffer(reply)) return reply.toString('utf8');
    throw new UnexpectedReplyError(`expected a string, got ${typeof reply}`);
  });
}
