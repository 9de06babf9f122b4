--- @include "../../redis/lua/includes/clock.lua"
--- @include "../../redis/lua/includes/outbox.lua"
--- @include "includes/block-record.lua"
-- near-limit.lua: records that subjects came near their limits.
-- Needs clock.lua and outbox.lua in front of it.
--
-- KEYS   window keys, all of one shard when Redis is a Cluster
-- ARGV   [1] outbox cap, then for each key the limit and the units left
-- Reply  how many were recorded; for the others the outbox was full
-- Events type 'near_limit' for each of them, sequenced: key, limit, remaining.
--
-- The windows themselves are not read: which decision crossed the threshold was
-- known when it fell, and this comes up to a second later.

local cap, now, recorded = tonumber(ARGV[1]), clock_ms(), 0
for index = 1, #KEYS do
  local fields = { 'key', KEYS[index], 'limit', ARGV[2 * index], 'remaining', ARGV[2 * index + 1] }
  if outbox_emit(outbox_tag(KEYS[index]), now, cap, true, 'near_limit', fields) then
    recorded = recorded + 1
  end
end
return recorded
