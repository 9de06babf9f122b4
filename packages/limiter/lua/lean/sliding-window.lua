-- lean/sliding-window.lua: the common cases of algorithms/sliding-window.lua, for decide-counters.lua.
--
-- A unit in the newest bucket raises its count and the sum, which stand side by
-- side. When a newer bucket begins, the others move by string and only those
-- that leave are read. The time to live is set then: it lasts until the bucket
-- that begins has left.

-- No helpers: making a Lua function costs more than what they would do.

local function lean(key, value, limit, window, block, cost, count)
  local width = window / count
  width = width + -width % 1
  local index = now / width
  index = index - index % 1
  local reset = (index + 1) * width + window - 1 - now
  if reset > LONGEST then return nil end

  local used, units, moved, leaving = 0, 0, count + 1, 0
  if value then
    if #value ~= 37 + 4 * count then return nil end
    local base, blocked, _, newest, kept_width
    base, blocked, _, newest, kept_width, used, units = unpack_at('>I6I6I6I6I5I4I4', value)
    moved = index - newest
    if blocked > 0 or base < TAG or kept_width ~= width or moved < 0 or moved > count then return nil end
    -- Late in a bucket the oldest of the count + 1 has left already.
    leaving = moved
    if now - window + 1 >= (index - count + 1) * width then leaving = moved + 1 end
    for place = count - leaving + 1, count do
      used = used - unpack_at('>I4', value, 34 + 4 * place)
    end
    if used + cost > limit then
      if block > 0 then return nil end
      -- `full` is the place of the newest bucket that isn't empty; the request fits once the buckets from the
      -- oldest to place `free` have left. In a flood both mostly are one.
      local full = (string.find(value, '[^%z]', 34) - 34) / 4
      full = full - full % 1
      local free, over = full, used + cost - limit
      if unpack_at('>I4', value, 34 + 4 * full) < used then
        free = count - leaving
        over = over - unpack_at('>I4', value, 34 + 4 * free)
        while over > 0 and free > full do
          free = free - 1
          over = over - unpack_at('>I4', value, 34 + 4 * free)
        end
      end
      local left = (newest + 1) * width + window - 1 - now
      return pack('>I1I4I6I6', 1, used < limit and limit - used or 0, left - full * width, left - free * width)
    end
    if moved == 0 and leaving > 0 then return nil end
  end

  if moved == 0 then
    call('SETRANGE', key, '29', pack('>I4I4', used + cost, units + cost))
  else
    local others = rep('\0\0\0\0', moved - 1)
    if value then
      others = others .. sub(value, 34, 37 + 4 * (count - leaving)) .. rep('\0\0\0\0', leaving - moved)
    end
    local ttl = window + 2 * width
    local header = pack('>I6I6I6I6I5I4I4', TAG + now, 0, now + ttl, index, width, used + cost, cost)
    call('SET', key, header .. others, 'PX', format('%d', ttl + spare_ms))
  end
  return pack('>I1I4I6I6', 0, limit - used - cost, reset, 0)
end
