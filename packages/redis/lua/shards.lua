--- @include "includes/clock.lua"
-- shards.lua: tells how many shards the processes of a deployment have.
-- Needs clock.lua in front of it.
--
-- KEYS   [1] sorted set: numbers of shards, each with when a process last said
--        that it has so many (ms)
-- ARGV   [1] how many this process has, [2] how long what was said holds (ms)
-- Reply  all numbers that hold
-- Events none
--
-- A failover can step TIME back: what was said in the future is forgotten too.

local key, ttl, now = KEYS[1], tonumber(ARGV[2]), clock_ms()
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - ttl)
redis.call('ZREMRANGEBYSCORE', key, now + ttl, '+inf')
redis.call('ZADD', key, now, ARGV[1])
redis.call('PEXPIRE', key, ttl_ms(ttl))
return redis.call('ZRANGE', key, 0, -1)
