--- @include "../../redis/lua/includes/clock.lua"
-- give-back.lua: gives back units of a lease that nobody spent.
-- Needs clock.lua in front of it.
--
-- KEYS   [1] the window key
-- ARGV   [1] when they were charged (ms), [2] how many,
--        [3] 0 for a sliding log, else the width (ms) of a sliding window's buckets
-- Reply  how many were given back
-- Events none
--
-- Only units of that very time are taken out of a log, and of that very bucket out
-- of a window. The newest ones would be easier to find, but they are somebody
-- else's: what that one spent would count from a time before it was charged, and
-- leave the window too early. What can't be found (the window was reset, the clock
-- stepped back, the buckets have another width, the policy has another algorithm
-- now) stays as it is.

local HEADER = 18

local key, charged_at, wanted, width = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock_ms()
--- @include "includes/window-value.lua"
local value = window_value(redis.pcall('GET', key))
if not value then
  return 0
end
-- TAG: window.lua. 0 times of it is a sliding log, once a sliding window.
local TAG = 17592186044416
local tagged_base, blocked = struct.unpack('>I6I6', value)
local base = tagged_base % TAG
if tagged_base - base ~= (width == 0 and 0 or TAG) then
  return 0
end

-- -> the body without the units, and how many they are
local function out_of_log(body)
  local function offset_of(unit)
    return (struct.unpack('>I5', body, 5 * unit - 4))
  end
  local target, last = charged_at - base, #body / 5
  while last > 0 and offset_of(last) > target do
    last = last - 1
  end
  local before = last
  while before > 0 and last - before < wanted and offset_of(before) == target do
    before = before - 1
  end
  return string.sub(body, 1, 5 * before) .. string.sub(body, 5 * last + 1), last - before
end

local function out_of_bucket(body)
  if #body < 15 then
    return body, 0
  end
  local newest, kept_width, sum = struct.unpack('>I6I5I4', body)
  local from = 16 + 4 * (newest - math.floor(charged_at / width))
  if kept_width ~= width or from < 16 or from > #body then
    return body, 0
  end
  local units = struct.unpack('>I4', body, from)
  local taken = math.min(units, wanted)
  local start = struct.pack('>I6I5I4', newest, kept_width, sum - taken) .. string.sub(body, 16, from - 1)
  return start .. struct.pack('>I4', units - taken) .. string.sub(body, from + 4), taken
end

local body = string.sub(value, HEADER + 1)
local rest, taken
if width == 0 then
  rest, taken = out_of_log(body)
else
  rest, taken = out_of_bucket(body)
end
if taken == 0 then
  return 0
end
if rest == '' and blocked == 0 then
  redis.call('DEL', key)
else
  local ttl = math.max(1, redis.call('PTTL', key))
  redis.call('SET', key, string.sub(value, 1, HEADER) .. rest, 'PX', ttl_ms(ttl))
end
return taken
