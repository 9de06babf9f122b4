--- @include "../../redis/lua/includes/clock.lua"
--- @include "../../redis/lua/includes/outbox.lua"
--- @include "../../redis/lua/includes/change.lua"
--- @include "includes/block-record.lua"
-- block.lua: blocks a subject by hand, lifts a block, or forgets a window with its block.
-- Needs clock.lua, outbox.lua, change.lua and block-record.lua in front of it.
--
-- KEYS   [1] the window key
-- ARGV   [1] outbox cap, [2] 'block', 'unblock' or 'reset', [3] the channel, [4] actor,
--        [5] note, [6] what the trail calls the window; to block also
--        [7] duration (ms, 0 = for ever), [8] limit, [9] window (ms)
-- Reply  to block: blocked until (ms, as text; 281474976710655 = for ever)
--        to unblock or reset: 1 when a block was lifted, 0 when there was none
-- Events type 'block': a new block, or the lifted one with its new end; then
--        type 'change' with the block before and after it.
--        PUBLISHes '<ARGV[2]> <key>' on the channel before it answers: processes
--        that cache something of this window drop it.

local key, cap, now = KEYS[1], tonumber(ARGV[1]), clock_ms()
--- @include "includes/window-value.lua"
local held = redis.pcall('GET', key)
local value = window_value(held)
-- TAG, SHADOW: window.lua. Of a sliding log, which has no tag, the units can be counted.
local TAG, SHADOW = 17592186044416, 140737488355328
local tagged_base, blocked = now, 0
if value then
  tagged_base, blocked = struct.unpack('>I6I6', value)
end
if blocked >= SHADOW and blocked < BLOCK_FOREVER then
  blocked = blocked - SHADOW
end
local body = value and string.sub(value, 19) or ''

-- pcall: a user without the right to the channel can block all the same.
redis.pcall('PUBLISH', ARGV[3], ARGV[2] .. ' ' .. key)

local function save(blocked_until, ttl)
  ttl = math.min(ttl, FOREVER_TTL_MS)
  redis.call('SET', key, struct.pack('>I6I6I6', tagged_base, blocked_until, now + ttl) .. body, 'PX', ttl_ms(ttl))
end

-- The units that the window holds, by the number of its algorithm (lua/algorithms). Some may be over by now.
local function units()
  local algorithm = math.floor(tagged_base / TAG)
  if #body == 0 then return 0 end
  if algorithm == 0 then return #body / 5 end
  if algorithm == 1 then return (struct.unpack('>I4', body, 12)) end
  if algorithm == 3 then
    local level, window = struct.unpack('>dI5', body)
    return math.ceil(level / window)
  end
  return algorithm == 4 and #body / 14 or (struct.unpack('>I4', body))
end

local function told(blocked_until)
  local ends = string.format('%.0f', blocked_until)
  if blocked_until <= now then ends = 'null' elseif blocked_until == BLOCK_FOREVER then ends = '"forever"' end
  return string.format('{"blockedUntilMs":%s,"units":%.0f}', ends, units())
end

local function record_change(after)
  change_emit(outbox_tag(key), now, cap, {
    actor = ARGV[4], note = ARGV[5], action = ARGV[2], kind = 'block', object = ARGV[6],
    before = value and told(blocked) or '', after = after,
  })
end

if ARGV[2] == 'block' then
  local duration, limit, window = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
  local blocked_until = duration == 0 and BLOCK_FOREVER or now + duration
  local left = redis.call('PTTL', key)
  local ttl = duration == 0 and FOREVER_TTL_MS or duration
  save(blocked_until, left > ttl and left or ttl)
  block_save(key, now, blocked_until, cap, {
    limit = limit, window = window, count = tagged_base < TAG and #body / 5 or 0, denied = 0, mode = 0,
    start = tagged_base % TAG,
  })
  record_change(told(blocked_until))
  return string.format('%.0f', blocked_until)
end

local record_key = block_key(key)
if redis.call('EXISTS', record_key) == 1 then
  if type(redis.pcall('HSET', record_key, 'until', now, 'last', now)) == 'number' then block_emit(record_key, now, cap) end
  redis.call('DEL', record_key)
end
record_change(value and ARGV[2] == 'unblock' and told(0) or '')
local lifted = blocked > now and 1 or 0
if ARGV[2] == 'reset' then
  redis.call('DEL', key)
  return lifted
end
if lifted == 0 then
  -- What is no window goes: without a window nobody is blocked.
  if held and not value then redis.call('DEL', key) end
  return 0
end
if #body == 0 then
  redis.call('DEL', key)
else
  save(0, redis.call('PTTL', key))
end
return 1
