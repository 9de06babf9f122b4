import { Redis } from 'ioredis';
import type { Contender } from './contender.ts';

/**
 * The least that a decision in Lua can cost: a script that decides nothing. Auto-pipelining is for many in flight;
 * with one in flight it only puts the command off to the next turn of the event loop.
 */
export function bareScript(url: string, enableAutoPipelining: boolean = true): Contender {
  const client = new Redis(url, { enableAutoPipelining });
  const sha = client.script('LOAD', 'return 1');
  return {
    name: 'EVALSHA of `return 1`',
    algorithm: 'none',
    decide: async (subject) => client.evalsha(String(await sha), 1, subject),
    close: async () => client.disconnect(),
  };
}
