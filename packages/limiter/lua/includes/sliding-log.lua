-- sliding-log.lua: the exact sliding log.
-- Needs window.lua in front of it.
--
-- Provides
--   log_read(value, window)    -> base, blocked, expires, units, first, newest, at
--   log_first(key, window, added)             writes the first units of a window
--   log_admit(key, value, base, expires, units, first, at, limit, window, added)
--   log_cut(value, base, first, last, at)     -> base, the units from first to last
--   log_offset(value, index)   a unit's time, in ms after the base
--
-- The body holds 5 bytes for each admitted unit, its time less the base, oldest
-- first. A request of cost c at time t fits when at most limit - c units lie in
-- (t - window, t]; units at or before t - window have left. The sliding log is
-- the textbook exact limiter; ours is the packing.
--
-- What makes it fast is to write little: an admission appends its 5 bytes.
-- Two other things are done so seldom that they cost next to nothing:
--   * units that have left are cut off once they are half the limit, so that a
--     window holds at most one and a half times its limit;
--   * the time to live is set two windows ahead and moved on only when less
--     than one window is left of it, which the expiry in the header tells.
-- Rewriting the string at each admission is simpler and was twice as slow:
-- Lua hashes and keeps every string it makes.
--
-- A failover can step TIME back. A window's own newest unit is a lower bound of
-- its time: `at` never runs behind it.

local REBASE_AFTER = 549755813888

local function log_offset(value, index)
  return (unpack_at('>I5', value, HEADER + 1 + 5 * index))
end

-- Index of the first unit later than `cutoff`, where the oldest is not; units are
-- in order of time.
local function first_live(value, units, cutoff)
  local low, high = 1, units
  while low < high do
    local middle = floor((low + high) / 2)
    if log_offset(value, middle) > cutoff then high = middle else low = middle + 1 end
  end
  return low
end

-- Decoded in as few calls as can be: this is the hottest line of the product.
local function log_read(value, window)
  local length = #value
  if length == HEADER then
    local _, blocked, expires = unpack_at('>I6I6I6', value)
    return now, blocked, expires, 0, 0, now, now
  end
  local base, blocked, expires, oldest = unpack_at('>I6I6I6I5', value)
  -- TAG (window.lua): another algorithm's window.
  if base >= 17592186044416 then return base end
  local newest = base + unpack_at('>I5', value, length - 4)
  local units, first, at = (length - HEADER) / 5, 0, now
  if newest > now then at = newest end
  local cutoff = at - window - base
  if oldest <= cutoff then first = first_live(value, units, cutoff) end
  return base, blocked, expires, units, first, newest, at
end

local function log_first(key, window, added)
  window_save(key, now, 0, rep('\0\0\0\0\0', added), 2 * window)
end

-- The units from `first` to `last` (indices, both included) on a base that their
-- offsets fit: offsets are 40 bits, 34 years, and a clock may step.
local function log_cut(value, base, first, last, at)
  if at - base < REBASE_AFTER then
    return base, sub(value, HEADER + 1 + 5 * first, HEADER + 5 + 5 * last)
  end
  local from = first <= last and log_offset(value, first) or at - base
  local offsets = {}
  for index = first, last do
    offsets[#offsets + 1] = pack('>I5', log_offset(value, index) - from)
  end
  return base + from, table.concat(offsets)
end

local function log_admit(key, value, base, expires, units, first, at, limit, window, added)
  -- A block leaves a header without units, whose base says nothing.
  if units == 0 then return log_first(key, window, added) end
  if first > 0 and first * 2 >= limit or at - base >= REBASE_AFTER then
    local new_base, log = log_cut(value, base, first, units - 1, at)
    return window_save(key, new_base, 0, log .. rep(pack('>I5', at - new_base), added), at - now + 2 * window)
  end
  local unit = pack('>I5', at - base)
  call('APPEND', key, added == 1 and unit or rep(unit, added))
  if expires < at + window then
    local ttl = at - now + 2 * window
    call('SETRANGE', key, 12, pack('>I6', now + ttl))
    call('PEXPIRE', key, ttl_ms(ttl))
  end
end
