// Generated from the Lua files by `pnpm build:lua`: change those, not this file.
import type { LuaScript } from '@spillway/redis';

export const claim: LuaScript = {
  name: 'claim',
  sha1: 'c66dcb405e4b6487c9dd0f9b5209763a3ed99e7d',
  source: `-- claim.lua: takes an Idempotency-Key for a request that is about to be carried out, unless the key was taken before.
--
-- KEYS   [1] the key's entry, [2] the bytes of the shard's answers
-- ARGV   [1] the claim, [2] how long it holds without an answer (ms), [3] most bytes
-- Reply  nil: the claim holds; 'f' and after how long there may be room (ms); else what the entry holds
-- Events none
--
-- The bytes are of the answers that were kept since the counter began, and it ends
-- as late as the first of them. So a shard holds at most twice as many.

local held = redis.call('GET', KEYS[1])
if held then
  return held
end
if tonumber(redis.call('GET', KEYS[2]) or 0) >= tonumber(ARGV[3]) then
  return 'f' .. redis.call('PTTL', KEYS[2])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
`,
};

export const settle: LuaScript = {
  name: 'settle',
  sha1: 'cb8f07398fb6d105a23ec5c9dedd18793e68a06d',
  source: `-- settle.lua: keeps the answer of a request in the entry of its Idempotency-Key, or gives the key free.
--
-- KEYS   [1] the key's entry, [2] the bytes of the shard's answers
-- ARGV   [1] the claim, [2] the answer, '' to give the key free, [3] how long to keep it (ms)
-- Reply  1; 0 when the claim no longer holds, and then nothing was changed
-- Events none

local entry, used, answer, ttl = KEYS[1], KEYS[2], ARGV[2], ARGV[3]
if redis.call('GET', entry) ~= ARGV[1] then
  return 0
end
if answer == '' then
  redis.call('DEL', entry)
  return 1
end
redis.call('SET', entry, answer, 'PX', ttl)
-- Redis needs about so many bytes for a key of this length and its end.
local bytes = #answer + 200
if redis.call('INCRBY', used, bytes) == bytes then
  redis.call('PEXPIRE', used, ttl)
end
return 1
`,
};
