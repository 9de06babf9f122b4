import { defineScript, type RedisScript } from '@spillway/redis';
import * as lua from '../scripts.generated.ts';

/** Acknowledges and deletes entries in one step; replies how many were still there. */
export const release: RedisScript<number> = defineScript(lua.release, Number);

/** Removes consumers that hold nothing; replies how many. */
export const forgetConsumers: RedisScript<number> = defineScript(lua.forgetConsumers, Number);
