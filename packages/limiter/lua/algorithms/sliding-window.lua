-- sliding-window.lua: a sliding window in sub-buckets, for limits too large for a log.
-- Needs save.lua in front of it.
--
-- The window is cut into `extra` buckets of equal width, counted from 1970 on, so
-- a trailing window touches at most one more. All buckets that the trailing
-- window touches count whole, the oldest too: never are more than the limit
-- admitted in any trailing window, at the price that units leave up to one
-- bucket's width late. (Weighing the oldest bucket instead, as is common, admits
-- up to twice the limit.)
--
-- Body: 6 bytes index of the newest bucket, 5 bytes width of a bucket (ms), 4 bytes
-- sum of the counts, then 4 bytes for each of the buckets' counts, newest first:
-- lean/sliding-window.lua adds a unit to the newest by one short write.
--
-- Where the window or the number of buckets has changed since, the units of a
-- bucket count as if they had come in its last moment.

local PREFIX = 15
local buckets = { tag = 1 }

-- Index of the bucket that holds now what bucket `index` of width `width` held.
local function moved(w, index, width)
  if width == w.width then return index end
  return floor(min((index + 1) * width - 1, w.at) / w.width)
end

local function body_of(w)
  return pack('>I6I5I4' .. rep('I4', #w.counts), w.newest, w.width, w.used, unpack(w.counts))
end

-- w.counts: newest first, as in the body.
function buckets.read(w, rule)
  local count = tonumber(rule.extra)
  w.width, w.at, w.used, w.counts = ceil(rule.window / count), now, 0, {}
  local kept, newest, width = {}, 0, 0
  if w.body ~= '' then
    kept = { unpack_at('>I6I5' .. rep('I4', (#w.body - PREFIX) / 4 + 1), w.body) }
    newest, width = kept[1], kept[2]
    w.at = max(now, newest * width)
  end
  w.newest, w.start = floor(w.at / w.width), w.at
  local oldest = floor((w.at - rule.window + 1) / w.width)
  for place = 1, count + 1 do
    w.counts[place] = 0
  end
  -- What unpack_at gave ends with the place behind what it read.
  for place = 1, #kept - 4 do
    local index, units = newest - place + 1, kept[3 + place]
    if units > 0 then
      index = moved(w, index, width)
      if index >= oldest then
        w.counts[w.newest - index + 1] = w.counts[w.newest - index + 1] + units
        w.used, w.start = w.used + units, index * w.width
      end
    end
  end
  -- Moved once and for all: a bucket of long ago would be moved to now again and again.
  if w.used > 0 and width ~= w.width then
    w.base, w.body, w.changed = w.at, body_of(w), true
  end
end

-- When the bucket at `place` of w.counts has left the trailing window.
local function leaves(w, rule, place)
  return (w.newest - place + 2) * w.width + rule.window - 1 - w.at
end

function buckets.reset(w, rule)
  for place = 1, #w.counts do
    if w.counts[place] > 0 then return leaves(w, rule, place) end
  end
  return 0
end

function buckets.retry(w, rule)
  local over = w.used + rule.cost - rule.limit
  for place = #w.counts, 1, -1 do
    over = over - w.counts[place]
    if over <= 0 then return leaves(w, rule, place) end
  end
  return rule.window
end

local function write(w, rule, used)
  w.used = used
  save(w, buckets.tag, w.at, body_of(w), w.at - now + rule.window + 2 * w.width)
end

function buckets.add(w, rule)
  w.counts[1] = w.counts[1] + rule.cost
  write(w, rule, w.used + rule.cost)
end

function buckets.take(w, rule)
  local left = rule.cost
  for place = #w.counts, 1, -1 do
    local units = left < w.counts[place] and left or w.counts[place]
    w.counts[place], left = w.counts[place] - units, left - units
  end
  write(w, rule, w.used - rule.cost + left)
end

return buckets
