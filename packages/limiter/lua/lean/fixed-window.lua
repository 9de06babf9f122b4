-- lean/fixed-window.lua: the common cases of algorithms/fixed-window.lua, for decide-counters.lua.

local NUMBER = 2 * TAG

local function lean(key, value, limit, window, block, cost)
  if not value then
    call('SET', key, pack('>I6I6I6I4I6', NUMBER + now, 0, now + window, cost, now), 'PX', format('%d', window + spare_ms))
    return pack('>I1I4I6I6', 0, limit - cost, window, 0)
  end
  if #value ~= 28 then return nil end
  local base, blocked, expires, used = unpack_at('>I6I6I6I4', value)
  base = base - NUMBER
  local left = base + window - now
  if blocked > 0 or base > now or left <= 0 or expires < base + window then return nil end
  if used + cost <= limit then
    call('SETRANGE', key, '18', pack('>I4I6', used + cost, now))
    return pack('>I1I4I6I6', 0, limit - used - cost, left, 0)
  elseif block == 0 then
    return pack('>I1I4I6I6', 1, used < limit and limit - used or 0, left, left)
  end
  return nil
end
