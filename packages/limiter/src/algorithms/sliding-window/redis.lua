-- The sliding window in buckets: sliding-window.ts beside this file. How sections work: ../README.md.
--
-- Body: 6 bytes index of the newest bucket, 5 bytes width of a bucket (ms), 4 bytes sum of the counts, then 4 bytes for
-- each of the buckets' counts (the rule's extra and one more), newest first. The newest bucket's count and the sum stand
-- side by side: a unit raises both by one short write. When a newer bucket begins, the others move by string and only
-- those that leave are read. The time to live is set then: it lasts until the bucket that begins has left.
--- @number 1
--- @check
-- No helpers: making a Lua function costs more than what they would do.
local width = window / extra
width = width + -width % 1
local index = now / width
index = index - index % 1
local used, units, moved, leaving, newest = 0, 0, extra + 1, 0, nil
if not value then
  left = limit
elseif #value == 37 + 4 * extra then
  local base, blocked, _, kept_width
  base, blocked, _, newest, kept_width, used, units = unpack_at('>I6I6I6I6I5I4I4', value)
  moved = index - newest
  if blocked == 0 and base >= NUMBER * 17592186044416 and base < (NUMBER + 1) * 17592186044416 and kept_width == width then
    if moved > extra then
      value, used, units, moved, left = nil, 0, 0, extra + 1, limit
    elseif moved >= 0 then
      -- Late in a bucket the oldest of all has left already.
      leaving = moved
      if now - window + 1 >= (index - extra + 1) * width then leaving = moved + 1 end
      for place = extra - leaving + 1, extra do
        used = used - unpack_at('>I4', value, 34 + 4 * place)
      end
      if moved > 0 or leaving == 0 or used + cost > limit then left = limit - used end
    end
  end
end
--- @commit
reset = (index + 1) * width + window - 1 - now
if moved == 0 then
  offset, bytes = '29', pack('>I4I4', used + cost, units + cost)
else
  local others = string.rep('\0\0\0\0', moved - 1)
  if value then
    others = others .. string.sub(value, 34, 37 + 4 * (extra - leaving)) .. string.rep('\0\0\0\0', leaving - moved)
  end
  ttl = text
  bytes = pack('>I6I6I6I6I5I4I4', NUMBER * 17592186044416 + now, 0, now + window + 2 * width, index, width, used + cost, cost)
    .. others
end
--- @refuse
reset, retry = 0, 0
if used > 0 then
  -- `full` is the place of the newest bucket that isn't empty; the request fits once the buckets from the
  -- oldest to place `free` have left. In a flood both mostly are one.
  local full = (string.find(value, '[^%z]', 34) - 34) / 4
  full = full - full % 1
  local free, over = full, cost - left
  if unpack_at('>I4', value, 34 + 4 * full) < used then
    free = extra - leaving
    over = over - unpack_at('>I4', value, 34 + 4 * free)
    while over > 0 and free > full do
      free = free - 1
      over = over - unpack_at('>I4', value, 34 + 4 * free)
    end
  end
  local last = (newest + 1) * width + window - 1 - now
  reset, retry = last - full * width, last - free * width
end
--- @general
-- Where the window or the number of buckets has changed since, the units of a bucket count as if they had come in its
-- last moment.
local PREFIX = 15
local algorithm = { number = NUMBER }

-- Index of the bucket that holds now what bucket `index` of width `width` held.
local function moved(w, index, width)
  return floor(min((index + 1) * width - 1, w.at) / w.width)
end

local function body_of(w)
  return pack('>I6I5I4' .. rep('I4', #w.counts), w.newest, w.width, w.used, unpack(w.counts))
end

-- w.counts: newest first, as in the body.
function algorithm.read(w, rule)
  local count = rule.extra
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

function algorithm.reset(w, rule)
  for place = 1, #w.counts do
    if w.counts[place] > 0 then return leaves(w, rule, place) end
  end
  return 0
end

function algorithm.retry(w, rule)
  local over = w.used + rule.cost - rule.limit
  for place = #w.counts, 1, -1 do
    over = over - w.counts[place]
    if over <= 0 then return leaves(w, rule, place) end
  end
  return rule.window
end

local function write(w, rule, used)
  w.used = used
  save(w, rule, w.at, body_of(w), w.at - now + rule.window + 2 * w.width)
end

function algorithm.add(w, rule)
  w.counts[1] = w.counts[1] + rule.cost
  write(w, rule, w.used + rule.cost)
end

function algorithm.take(w, rule)
  local left = rule.cost
  for place = #w.counts, 1, -1 do
    local units = left < w.counts[place] and left or w.counts[place]
    w.counts[place], left = w.counts[place] - units, left - units
  end
  write(w, rule, w.used - rule.cost + left)
end
--- @charges
-- The units of a bucket as if they had come in its last moment.
function algorithm.charges(_, body)
  local list = {}
  local newest, width = unpack_at('>I6I5', body)
  local last = max(now, newest * width)
  for from = #body - 3, 16, -4 do
    local units = unpack_at('>I4', body, from)
    if units > 0 then list[#list + 1] = { min((newest - (from - 16) / 4 + 1) * width - 1, last), units } end
  end
  return list
end

function algorithm.adopt(list, rule)
  local count = rule.extra
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
