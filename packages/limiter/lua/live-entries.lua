--- @include "../../redis/lua/includes/clock.lua"
-- live-entries.lua: writes one entry of the live policies, and tells everybody.
-- Needs clock.lua in front of it.
--
-- KEYS   [1] the hash of live entries
-- ARGV   [1] most entries, [2] the entry's field, [3] its value, '' to remove it,
--        [4] the channel
-- Reply  1 when the entry was there before, 0 when it was not, -1 when there is
--        no room for one more (nothing was written then)
-- Events none for the trail; PUBLISHes the new version on the channel.
--
-- The version is a time, moved on by at least one: a Redis that was emptied does
-- not come to a version that somebody has seen before with other entries.
--
-- The hash is configuration and has no time to live; it is capped instead.

local key, cap, field, value = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]
local was = redis.call('HEXISTS', key, field)

if value == '' then
  redis.call('HDEL', key, field)
elseif was == 0 and redis.call('HLEN', key) > cap then
  return -1
else
  redis.call('HSET', key, field, value)
end

-- A version that somebody wrote by hand may be anything.
local last = tonumber(redis.call('HGET', key, 'version') or '') or 0
local version = string.format('%.0f', math.max(last + 1, clock_ms()))
redis.call('HSET', key, 'version', version)
-- pcall: without the right to the channel the others find the version when they poll.
redis.pcall('PUBLISH', ARGV[4], version)
return was
