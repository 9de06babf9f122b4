-- claim.lua: takes an Idempotency-Key for a request that is about to be carried out, unless the key was taken before.
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
