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
-- Body: 6 bytes index of the newest bucket, 4 bytes width of a bucket (ms), then 4
-- bytes for each of the buckets' counts, oldest first. When the width has changed
-- with the policy, each bucket's units go where its last moment lies: none leaves
-- the window earlier than it would have.

local buckets = {}

-- Units that were kept in buckets of another width or number.
local function rescale(w, kept, places)
  local newest, width = kept[1], kept[2]
  for place = 3, #kept - 1 do
    local index = newest - #kept + 1 + place
    index = min(w.newest, floor(((index + 1) * width - 1) / w.width))
    if kept[place] > 0 and index >= w.oldest then
      local to = index - w.newest + places
      w.counts[to] = w.counts[to] + kept[place]
    end
  end
end

function buckets.read(w, rule)
  local count = tonumber(rule.extra)
  local places = count + 1
  w.width = ceil(rule.window / count)
  w.format, w.at = '>I6I4' .. rep('I4', places), now
  local kept
  if w.body ~= '' then
    kept = { unpack_at('>I6I4' .. rep('I4', (#w.body - 10) / 4), w.body) }
    w.at = max(now, kept[1] * kept[2])
  end
  w.newest = floor(w.at / w.width)
  w.oldest = floor((w.at - rule.window + 1) / w.width)
  w.used, w.start, w.counts = 0, w.at, {}
  local same = kept and kept[2] == w.width and #w.body == 10 + 4 * places
  -- A count that was kept at place p stands `moved` places further to the left now.
  local moved = same and w.newest - kept[1] or places
  for place = 1, places do
    local units = 0
    if place + moved <= places and w.newest - places + place >= w.oldest then units = kept[2 + place + moved] end
    w.counts[place] = units
  end
  if kept and not same then rescale(w, kept, places) end
  for place = 1, places do
    local units = w.counts[place]
    if units > 0 and w.used == 0 then w.start = (w.newest - places + place) * w.width end
    w.used = w.used + units
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
  save(w, w.at, pack(w.format, w.newest, w.width, unpack(w.counts)), w.at - now + rule.window + 2 * w.width)
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
