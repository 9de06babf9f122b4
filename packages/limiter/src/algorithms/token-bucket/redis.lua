-- The token bucket: token-bucket.ts beside this file. How sections work: ../README.md.
--
-- Base: time of the level. Body: 8 bytes level (double, in units × window), 5 bytes window (ms) by which it is scaled.
-- The time to live is set a window further ahead than the level needs, so that it is moved on once a window at most.
--- @number 3
--- @check
local ceil = math.ceil
local level, expires = 0, 0
if not value then
  left = extra
elseif #value == 31 then
  local base, blocked, kept_window
  base, blocked, expires, level, kept_window = unpack_at('>I6I6I6dI5', value)
  base = base - NUMBER * 17592186044416
  if blocked == 0 and base <= now and base >= 0 and kept_window == window then
    level = level - (now - base) * limit
    if level < 0 then level = 0 end
    -- What no reply can say is left to the general way.
    if level + cost * window < 281474976710655 * limit then left = extra - ceil(level / window) end
  end
end
--- @commit
level = level + cost * window
reset = ceil(level / limit)
if expires > now + reset then
  offset, bytes = '0', pack('>I6I6I6dI5', NUMBER * 17592186044416 + now, 0, expires, level, window)
else
  ttl = string.format('%d', reset + window + 1 + spare_ms)
  bytes = pack('>I6I6I6dI5', NUMBER * 17592186044416 + now, 0, now + reset + window + 1, level, window)
end
--- @refuse
reset = ceil(level / limit)
retry = ceil((level + (cost - extra) * window) / limit)
--- @general
local algorithm = { number = NUMBER }

function algorithm.read(w, rule)
  w.capacity = rule.extra
  w.at, w.level = now, 0
  if w.body ~= '' then
    local level, window = unpack_at('>dI5', w.body)
    w.at = max(now, w.base)
    if window ~= rule.window then level = ceil(level / window * rule.window) end
    w.level = max(0, level - (w.at - w.base) * rule.limit)
  end
  w.used = ceil(w.level / rule.window)
  w.start = w.at - ceil(w.level / rule.limit)
end

function algorithm.reset(w, rule)
  return ceil(w.level / rule.limit)
end

function algorithm.retry(w, rule)
  return ceil((w.level + (rule.cost - w.capacity) * rule.window) / rule.limit)
end

local function write_level(w, rule, level)
  w.level = level
  save(w, rule, w.at, pack('>dI5', level, rule.window), w.at - now + ceil(level / rule.limit) + 1)
end

function algorithm.add(w, rule)
  write_level(w, rule, w.level + rule.cost * rule.window)
end

function algorithm.take(w, rule)
  write_level(w, rule, max(0, w.level - rule.cost * rule.window))
end
--- @charges
-- What the last unit left, at its time.
function algorithm.charges(base, body)
  local level, window = unpack_at('>dI5', body)
  local units = ceil(level / window)
  return units > 0 and { { base, units } } or {}
end

function algorithm.adopt(list, rule)
  local cutoff, at, level = list[#list][1] - rule.window, nil, 0
  for place = 1, #list do
    local time, units = list[place][1], list[place][2]
    if time > cutoff then
      level = max(0, level - (time - (at or time)) * rule.limit) + units * rule.window
      level, at = min(level, 2 * rule.extra * rule.window), time
    end
  end
  return at, pack('>dI5', level, rule.window)
end
