--- @include "../../redis/lua/includes/clock.lua"
--- @include "../../redis/lua/includes/outbox.lua"
--- @include "../../redis/lua/includes/change.lua"
-- live-entries.lua: reads the live entries, or writes one of them, records the
-- change in the trail and publishes it.
-- Needs clock.lua, outbox.lua and change.lua in front of it.
--
-- KEYS   [1] hash of live entries, [2] sorted set: the fields that end, by their
--        end (ms), [3] sorted set of the limiters that listen (live.lua)
-- ARGV   [1] 'read', 'set', 'block' or 'remove'; to read no more. Else
--        [2] most entries, [3] outbox cap, [4] channel, [5] how long after its
--        last beat a limiter counts as alive (ms), [6] id of the limiter that
--        asks, or '', [7] the entry's field, [8] to set: its value; to block: how
--        long (ms), 0 = until it is removed, [9] actor, [10] note, [11] action,
--        [12] kind of object, [13] object, [14] before, JSON, if there is no entry,
--        [15] what must be stored now: '' = anything, '-' = nothing, else '=' and
--        the entry's value
-- Reply  to read: the time (ms), then fields and values in turn
--        else: 1 when the entry was there before, 0 when it was not, -1 when
--        there is no room for one more, -2 when something else than [15] is stored
--        (nothing was written then); how many other limiters listen; the entry's value
-- Events type 'change', unless an entry to remove was not there.
--        PUBLISHes the new version on the channel.
--
-- The version is a time, moved on by at least one: a Redis that was emptied does
-- not come to a version that somebody has seen before with other entries.
--
-- The hash and the ends are configuration and have no time to live; they are
-- capped instead, and each write removes entries that are over.

local PURGE = 1000

local key, ends, now = KEYS[1], KEYS[2], clock_ms()

if ARGV[1] == 'read' then
  local reply = redis.call('HGETALL', key)
  table.insert(reply, 1, now)
  return reply
end

local operation, cap, field, value = ARGV[1], tonumber(ARGV[2]), ARGV[7], ARGV[8]

local function listening()
  local from = string.format('(%.0f', now - tonumber(ARGV[5]))
  local others = redis.call('ZCOUNT', KEYS[3], from, '+inf')
  return redis.call('ZSCORE', KEYS[3], ARGV[6]) and others - 1 or others
end

local over = redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, PURGE)
if #over > 0 then
  redis.call('HDEL', key, unpack(over))
  redis.call('ZREM', ends, unpack(over))
end

local before = redis.call('HGET', key, field)
local expected = ARGV[15]
if expected ~= '' and expected ~= (before and '=' .. before or '-') then return { -2, 0, '' } end
if operation == 'remove' then
  if not before then return { 0, listening(), '' } end
  value = ''
  redis.call('HDEL', key, field)
  redis.call('ZREM', ends, field)
else
  if not before and redis.call('HLEN', key) > cap then return { -1, 0, '' } end
  redis.call('ZREM', ends, field)
  if operation == 'block' then
    local duration = tonumber(value)
    value = '{"blockedUntilMs":"forever"}'
    if duration > 0 then
      redis.call('ZADD', ends, now + duration, field)
      value = string.format('{"blockedUntilMs":%.0f}', now + duration)
    end
  end
  redis.call('HSET', key, field, value)
end

-- A version that somebody wrote by hand may be anything.
local last = tonumber(redis.call('HGET', key, 'version') or '') or 0
local version = string.format('%.0f', math.max(last + 1, now))
redis.call('HSET', key, 'version', version)
change_emit(outbox_tag(key), now, tonumber(ARGV[3]), {
  actor = ARGV[9], note = ARGV[10], action = ARGV[11], kind = ARGV[12], object = ARGV[13],
  before = before or ARGV[14], after = value,
})
-- pcall: without the right to the channel the others find the version when they poll.
redis.pcall('PUBLISH', ARGV[4], version)
return { before and 1 or 0, listening(), value }
