--- @include "../../redis/lua/includes/clock.lua"
--- @include "../../redis/lua/includes/outbox.lua"
--- @include "includes/block-record.lua"
-- count-denied.lua: adds refusals to the records of running blocks.
-- Needs clock.lua, outbox.lua and block-record.lua in front of it.
--
-- KEYS   window keys, all of one shard when Redis is a Cluster
-- ARGV   [1] outbox cap, then for each key how many more requests were refused
-- Reply  how many records were still there
-- Events type 'block' for each of them, unsequenced, with the running total.

local cap, now, counted = tonumber(ARGV[1]), clock_ms(), 0
for index = 1, #KEYS do
  local record_key = block_key(KEYS[index])
  -- A key of another type is no record: its block goes on without later events.
  if redis.call('EXISTS', record_key) == 1 and type(redis.pcall('HINCRBY', record_key, 'denied', ARGV[index + 1])) == 'number' then
    redis.call('HSET', record_key, 'last', now)
    block_emit(record_key, now, cap)
    counted = counted + 1
  end
end
return counted
