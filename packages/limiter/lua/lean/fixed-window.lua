-- lean/fixed-window.lua: the common cases of algorithms/fixed-window.lua, for decide-counters.lua.

local function lean(key, value, limit, window, block, cost)
  if not value then
    call('SET', key, pack('>I6I6I6I4', now, 0, now + window, cost), 'PX', format('%d', window + spare_ms))
    return pack('>I1I4I4I4', 0, limit - cost, window, 0)
  end
  if #value ~= 22 then return nil end
  local base, blocked, expires, used = unpack_at('>I6I6I6I4', value)
  local left = base + window - now
  if blocked > 0 or base > now or left <= 0 or expires < base + window then return nil end
  if used + cost <= limit then
    call('SETRANGE', key, '18', pack('>I4', used + cost))
    return pack('>I1I4I4I4', 0, limit - used - cost, left, 0)
  elseif block == 0 then
    return pack('>I1I4I4I4', 1, used < limit and limit - used or 0, left, left)
  end
  return nil
end
