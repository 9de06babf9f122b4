--- @include "../../../redis/lua/includes/clock.lua"
--- @include "../../../redis/lua/includes/outbox.lua"
--- @include "block-record.lua"
--- @include "window.lua"
--- @include "sliding-log.lua"
-- decide-one-log.lua: decides one request by the exact sliding log, whatever its case.
-- Needs clock.lua, now.lua, outbox.lua, block-record.lua, window.lua and sliding-log.lua in front of it.
-- The rare part of decide-log.lua and decide-lone-log.lua: inside a function that is called when first needed.
--
-- Returns decide(outbox_cap, key, value, limit, window, block, mode, cost) -> 17 bytes of the reply,
--         and dropped() -> events that this call dropped so far
--
-- TAG, SHADOW and FOREVER (window.lua) stand here as numbers: Redis makes the function at each call, and each local
-- of another piece that it uses costs as much as a sum.
-- Waits are counted from now and not from `at`, which is later after the clock has
-- stepped back: who waits as told is admitted.

local function reply(outcome, remaining, reset, retry)
  return pack('>I1I4I6I6', outcome, remaining, reset, retry)
end

local function admit_first(key, limit, window, mode, cost)
  if mode == 2 then
    return reply(0, limit, 0, 0)
  end
  log_first(key, window, cost)
  return reply(0, limit - cost, window, 0)
end

local function decide(outbox_cap, key, value, limit, window, block, mode, cost)
  -- 6 is a look at a policy that only watches.
  local watches = mode == 1
  if mode == 6 then mode, watches = 2, true end
  if not value then
    return admit_first(key, limit, window, mode, cost)
  end
  local base, blocked, expires, units, first, newest, at = log_read(value, window)
  if base >= 17592186044416 then return reply(6, 0, 0, 0) end
  if blocked >= 140737488355328 and blocked < 281474976710655 then
    blocked = blocked - 140737488355328
    if not watches then
      -- What was only watched refuses nobody when the policy enforces.
      blocked = 0
      if mode == 0 then call('SETRANGE', key, 6, '\0\0\0\0\0\0') end
    end
  end

  local live = units - first
  local over = live + cost - limit
  if over <= 0 and blocked <= at then
    if mode == 2 then
      return reply(0, limit - live, live > 0 and newest + window - now or 0, 0)
    end
    log_admit(key, value, base, expires, units, first, at, limit, window, cost)
    return reply(0, limit - live - cost, at - now + window, 0)
  end

  local reset, retry, outcome = 0, 0, blocked > at and 3 or 1
  if live > 0 then reset = newest + window - now end
  -- The request fits once the oldest live + cost - limit units have left.
  if over > 0 then retry = base + log_offset(value, first + over - 1) + window - now end
  if outcome == 1 and block > 0 and mode ~= 2 then
    outcome, blocked = 2, at + block
    window_save(key, base, blocked, sub(value, HEADER + 1), reset, mode == 1)
    block_save(key, at, blocked, outbox_cap, {
      limit = limit, window = window, count = live, denied = 1, mode = mode,
      start = live > 0 and base + log_offset(value, first) or at,
    })
  end
  if outcome > 1 then
    -- The longer of block and window: a block may be shorter. In the place of the units that remain, which are none,
    -- stands how long the block lasts.
    local left, shown = blocked - now, blocked - now
    if blocked == 281474976710655 then
      left, shown = 281474976710655, 4294967295
    elseif shown > 4294967294 then
      shown = 4294967294
    end
    return reply(outcome, shown, left > reset and left or reset, left > retry and left or retry)
  end

  -- The window was made longer: its units must outlive the shorter one.
  if mode ~= 2 and expires < newest + window then
    call('SETRANGE', key, 12, pack('>I6', newest + window))
    call('PEXPIRE', key, ttl_ms(newest + window - now))
  end
  return reply(1, live < limit and limit - live or 0, reset, retry)
end

return decide, function() return outbox_dropped end
