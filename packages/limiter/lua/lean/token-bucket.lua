-- lean/token-bucket.lua: the common cases of algorithms/token-bucket.lua, for decide-counters.lua.
--
-- The time to live is set a window further ahead than the level needs, so that
-- it has to be moved on only once a window.

local NUMBER = 3 * TAG

local function lean(key, value, limit, window, block, cost, capacity)
  local level, expires = 0, 0
  if value then
    if #value ~= 31 then return nil end
    local base, blocked, kept_window
    base, blocked, expires, level, kept_window = unpack_at('>I6I6I6dI5', value)
    base = base - NUMBER
    if blocked > 0 or base > now or kept_window ~= window then return nil end
    level = level - (now - base) * limit
    if level < 0 then level = 0 end
  end
  local used = ceil(level / window)
  if used + cost > capacity then
    local reset = ceil(level / limit)
    if block > 0 or reset > LONGEST then return nil end
    return pack('>I1I4I6I6', 1, capacity > used and capacity - used or 0, reset,
      ceil((level + (cost - capacity) * window) / limit))
  end
  level = level + cost * window
  local reset = ceil(level / limit)
  if reset > LONGEST then return nil end
  if expires > now + reset then
    call('SETRANGE', key, '0', pack('>I6I6I6dI5', NUMBER + now, 0, expires, level, window))
  else
    local ttl = reset + window + 1
    call('SET', key, pack('>I6I6I6dI5', NUMBER + now, 0, now + ttl, level, window), 'PX', format('%d', ttl + spare_ms))
  end
  return pack('>I1I4I6I6', 0, capacity - ceil(level / window), reset, 0)
end
