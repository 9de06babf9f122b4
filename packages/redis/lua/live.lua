--- @include "includes/clock.lua"
-- live.lua: counts the instances that are alive, by their heartbeats.
-- Needs clock.lua in front of it.
--
-- KEYS   [1] sorted set: instance ids, each with the time of its last beat (ms)
-- ARGV   [1] instance id, [2] 'beat' or 'leave',
--        [3] how long after its last beat an instance counts as alive (ms)
-- Reply  how many are alive
-- Events none
--
-- A failover can step TIME back: a beat from the future is forgotten too, or a
-- dead instance would be counted until the clock has caught up.

local key, id, ttl, now = KEYS[1], ARGV[1], tonumber(ARGV[3]), clock_ms()
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - ttl)
redis.call('ZREMRANGEBYSCORE', key, now + ttl, '+inf')
if ARGV[2] == 'leave' then
  redis.call('ZREM', key, id)
else
  redis.call('ZADD', key, now, id)
  redis.call('PEXPIRE', key, ttl_ms(ttl))
end
return redis.call('ZCARD', key)
