-- lean/concurrency.lua: the common cases of algorithms/concurrency.lua, for decide-counters.lua.
--
-- Slots stand in the order of their ends: while the first has not ended, none
-- has. The time to live is set two windows ahead, so that one more slot mostly
-- is one short write.

has_holders = true

local NUMBER = 4 * TAG

local function lean(key, value, limit, window, block, cost, _, holder)
  if cost > 1 then return nil end
  local slot = pack('>I6', now + window) .. holder
  if not value then
    call('SET', key, pack('>I6I6I6', NUMBER + now, 0, now + 2 * window) .. slot, 'PX', format('%d', 2 * window + spare_ms))
    return pack('>I1I4I6I6', 0, limit - 1, window, 0)
  end
  local length = #value
  if length == 18 then return nil end
  local base, blocked, expires, first = unpack_at('>I6I6I6I6', value)
  base = base - NUMBER
  local last = unpack_at('>I6', value, length - 13)
  if blocked > 0 or base > now or base < 0 or first <= now or last > now + window then return nil end
  local used = (length - 18) / 14
  if used >= limit then
    return pack('>I1I4I6I6', 1, 0, last - now, unpack_at('>I6', value, 19 + 14 * (used - limit)) - now)
  end
  if expires >= now + window then
    call('APPEND', key, slot)
  else
    call('SET', key, pack('>I6I6I6', NUMBER + now, 0, now + 2 * window) .. sub(value, 19) .. slot, 'PX', format('%d', 2 * window + spare_ms))
  end
  return pack('>I1I4I6I6', 0, limit - used - 1, window, 0)
end
