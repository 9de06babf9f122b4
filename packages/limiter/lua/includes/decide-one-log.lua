--- @include "../../../redis/lua/includes/clock.lua"
--- @include "../../../redis/lua/includes/outbox.lua"
--- @include "block-record.lua"
--- @include "window.lua"
--- @include "sliding-log.lua"
-- decide-one-log.lua: decides one request by the exact sliding log, whatever its case.
-- Needs clock.lua, now.lua, outbox.lua, block-record.lua, window.lua and sliding-log.lua in front of it.
-- The rare part of decide-log.lua and decide-lone-log.lua: inside a function that is called when first needed.
--
-- Returns decide(outbox_cap, key, value, limit, window, block, mode, cost) -> 13 bytes of the reply,
--         and dropped() -> events that this call dropped so far

local function reply(outcome, remaining, reset, retry)
  return pack('>I1I4I4I4', outcome, remaining, reset, retry)
end

local function admit_first(key, limit, window, mode, cost)
  if mode == 2 then
    return reply(0, limit, 0, 0)
  end
  log_first(key, window, cost)
  return reply(0, limit - cost, window, 0)
end

local function decide(outbox_cap, key, value, limit, window, block, mode, cost)
  if not value then
    return admit_first(key, limit, window, mode, cost)
  end
  local base, blocked, expires, units, first, newest, at = log_read(value, window)
  if blocked > at then
    local left = blocked - at
    if left > FOREVER then left = FOREVER end
    return reply(3, 0, left, left)
  end

  local live = units - first
  if live + cost <= limit then
    if mode == 2 then
      local reset = live > 0 and newest + window - at or 0
      return reply(0, limit - live, reset, 0)
    end
    log_admit(key, value, base, expires, units, first, at, limit, window, cost)
    return reply(0, limit - live - cost, window, 0)
  end

  if block > 0 and mode ~= 2 then
    window_save(key, base, at + block, sub(value, HEADER + 1), newest + window - now)
    block_save(key, at, at + block, outbox_cap, {
      limit = limit, window = window, count = live, denied = 1, mode = mode,
      start = live > 0 and base + log_offset(value, first) or at,
    })
    return reply(2, 0, block, block)
  end

  -- The window was made longer: its units must outlive the shorter one.
  if live > 0 and mode ~= 2 and expires < newest + window then
    call('SETRANGE', key, 12, pack('>I6', newest + window))
    call('PEXPIRE', key, ttl_ms(newest + window - now))
  end
  -- The request fits once the oldest live + cost - limit units have left.
  local retry = log_offset(value, first + live + cost - limit - 1) - (at - window - base)
  return reply(1, live < limit and limit - live or 0, newest + window - at, retry)
end

return decide, function() return outbox_dropped end
