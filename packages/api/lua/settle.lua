-- settle.lua: keeps the answer of a request in the entry of its Idempotency-Key, or gives the key free.
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
