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
-- Body: 6 bytes index of the newest bucket, then 4 bytes for each of the buckets'
-- counts, oldest first.

local buckets = {}

function buckets.read(w, rule)
  local count = tonumber(rule.extra)
  local places = count + 1
  w.width = ceil(rule.window / count)
  w.format, w.at = '>I6' .. rep('I4', places), now
  local kept, newest
  if #w.body == 6 + 4 * places then
    kept = { unpack_at(w.format, w.body) }
    newest = kept[1]
    w.at = max(now, newest * w.width)
  end
  w.newest = floor(w.at / w.width)
  w.oldest = floor((w.at - rule.window + 1) / w.width)
  w.used, w.start, w.counts = 0, w.at, {}
  -- A count that was kept at place p stands `moved` places further to the left now.
  local moved = newest and w.newest - newest or places
  for place = 1, places do
    local units = 0
    if place + moved <= places and w.newest - places + place >= w.oldest then units = kept[1 + place + moved] end
    if units > 0 and w.used == 0 then w.start = (w.newest - places + place) * w.width end
    w.used = w.used + units
    w.counts[place] = units
  end
end

-- When the bucket at `place` of w.counts has left the trailing window.
local function leaves(w, rule, place)
  return (w.newest - #w.counts + place + 1) * w.width + rule.window - 1 - w.at
end

function buckets.reset(w, rule)
  for place = #w.counts, 1, -1 do
    if w.counts[place] > 0 then return leaves(w, rule, place) end
  end
  return 0
end

function buckets.retry(w, rule)
  local over = w.used + rule.cost - rule.limit
  for place = 1, #w.counts do
    over = over - w.counts[place]
    if over <= 0 then return leaves(w, rule, place) end
  end
  return rule.window
end

local function write(w, rule)
  save(w, w.at, pack(w.format, w.newest, unpack(w.counts)), w.at - now + rule.window + 2 * w.width)
end

function buckets.add(w, rule)
  w.counts[#w.counts] = w.counts[#w.counts] + rule.cost
  write(w, rule)
end

function buckets.take(w, rule)
  local left = rule.cost
  for place = #w.counts, 1, -1 do
    local units = left < w.counts[place] and left or w.counts[place]
    w.counts[place], left = w.counts[place] - units, left - units
  end
  write(w, rule)
end

return buckets
