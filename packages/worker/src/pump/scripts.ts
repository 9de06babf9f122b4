import { defineScript, type RedisScript } from '@spillway/redis';

/** Acknowledges and deletes entries in one step; replies how many were still there. */
export const release: RedisScript<number> = defineScript({
  name: 'release',
  files: [new URL('../../lua/release.lua', import.meta.url)],
  decode: Number,
});

/** Removes consumers that hold nothing; replies how many. */
export const forgetConsumers: RedisScript<number> = defineScript({
  name: 'forget-consumers',
  files: [new URL('../../lua/forget-consumers.lua', import.meta.url)],
  decode: Number,
});
