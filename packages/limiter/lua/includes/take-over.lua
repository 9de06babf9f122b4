-- take-over.lua: a window of one algorithm becomes one of another, when a policy was changed.
-- Needs window.lua in front of it.
--
-- Returns take_over(value, tag, base, rule) -> base and body by the algorithm of rule; both nil when its period is not known
--
-- First the window is read as charges: a list of { time (ms), units }, oldest first.
-- What an algorithm does not know is taken for later than it was: units count
-- rather too long than not at all, and never longer than a window of the new policy
-- from the last unit on. Periods that are over, by the numbers of the new policy,
-- are not taken over. Slots are held, not used: nobody's usage.
-- Then the charges are written as the new algorithm would have kept them. The
-- result does not depend on when that is done, but for what has left by then.

local readers, writers = {}, {}

-- sliding-log
readers[0] = function(base, body)
  local list = {}
  for from = 1, #body, 5 do
    list[#list + 1] = { base + unpack_at('>I5', body, from), 1 }
  end
  return list
end

-- sliding-window: the units of a bucket as if they had come in its last moment.
readers[1] = function(_, body)
  local list = {}
  local newest, width = unpack_at('>I6I5', body)
  local last = max(now, newest * width)
  for from = #body - 3, 16, -4 do
    local units = unpack_at('>I4', body, from)
    if units > 0 then list[#list + 1] = { min((newest - (from - 16) / 4 + 1) * width - 1, last), units } end
  end
  return list
end

-- fixed-window: all as if they had come with the last of them.
readers[2] = function(base, body, rule)
  local units, last = unpack_at('>I4I6', body)
  if units == 0 or base + rule.window <= max(now, base) then return {} end
  return { { last, units } }
end

-- token-bucket: what the last unit left, at its time.
readers[3] = function(base, body)
  local level, window = unpack_at('>dI5', body)
  local units = ceil(level / window)
  return units > 0 and { { base, units } } or {}
end

readers[4] = function()
  return {}
end

-- quota: all as if they had come with the last of them.
readers[5] = function(base, body)
  local units, ends, last = unpack_at('>I4I6I6', body)
  if units == 0 or max(now, base) >= ends then return {} end
  return { { last, units } }
end

-- Of more than twice the limit the youngest: a log takes memory for each unit.
writers[0] = function(list, rule)
  local from, room = #list, 2 * rule.limit
  local cutoff = max(now, list[from][1]) - rule.window
  while from > 0 and room > 0 and list[from][1] > cutoff do
    list[from][2] = min(list[from][2], room)
    room, from = room - list[from][2], from - 1
  end
  if from == #list then return now, '' end
  local base, units = list[from + 1][1], {}
  for place = from + 1, #list do
    units[#units + 1] = rep(pack('>I5', list[place][1] - base), list[place][2])
  end
  return base, table.concat(units)
end

writers[1] = function(list, rule)
  local count = tonumber(rule.extra)
  local width, last, sum, counts = ceil(rule.window / count), max(now, list[#list][1]), 0, {}
  local newest, oldest = floor(last / width), floor((last - rule.window + 1) / width)
  for place = 1, count + 1 do
    counts[place] = 0
  end
  for place = 1, #list do
    local index = floor(list[place][1] / width)
    if index >= oldest then
      counts[newest - index + 1] = counts[newest - index + 1] + list[place][2]
      sum = sum + list[place][2]
    end
  end
  return last, pack('>I6I5I4' .. rep('I4', #counts), newest, width, sum, unpack(counts))
end

-- Nobody knows when a fixed window would have begun: it begins with the last unit, so that none is forgotten.
writers[2] = function(list, rule)
  local last, used = list[#list][1], 0
  for place = 1, #list do
    if list[place][1] > last - rule.window then used = used + list[place][2] end
  end
  return last, pack('>I4I6', used, last)
end

writers[3] = function(list, rule)
  local cutoff, at, level = list[#list][1] - rule.window, nil, 0
  for place = 1, #list do
    local time, units = list[place][1], list[place][2]
    if time > cutoff then
      level = max(0, level - (time - (at or time)) * rule.limit) + units * rule.window
      level, at = min(level, 2 * tonumber(rule.extra) * rule.window), time
    end
  end
  return at, pack('>dI5', level, rule.window)
end

writers[4] = function()
  return now, ''
end

writers[5] = function(list, rule)
  local last = list[#list][1]
  local start, ends = rule.algorithm.period_of(max(now, last), rule)
  if not start then return nil, nil end
  local used = 0
  for place = 1, #list do
    if list[place][1] >= start then used = used + list[place][2] end
  end
  if used == 0 then return now, '' end
  return start, pack('>I4I6I6', used, ends, last)
end

return function(value, tag, base, rule)
  local list = readers[tag](base, sub(value, HEADER + 1), rule)
  if #list == 0 then return now, '' end
  return writers[rule.algorithm.tag](list, rule)
end
