-- The exact sliding log: sliding-log.ts beside this file. How sections work: ../README.md.
--
-- Body: 5 bytes for each admitted unit, its time less the base, oldest first. Offsets are 40 bits, 34 years: a window whose
-- base is half of that ago is written on a new base, by the general way.
--- @number 0
--- @check
-- Times after the base, as they are kept: now, the oldest unit and the newest. `first`: how many units have left, if any.
-- `cut`: how many may have left before they are cut off.
local age, oldest, newest, base, blocked, expires, first, cut
local size = value and #value or 0
if size > 22 then
  base, blocked, expires, oldest = unpack_at('>I6I6I6I5', value)
  newest, age = unpack_at('>I5', value, size - 4), now - base
  if blocked == 0 and newest <= age then
    left = limit - (size - 18) / 5
    if oldest <= age - window then
      -- Half of 2^40 ms: the general way writes it on a new base. Until then a unit must have left: no window is that long.
      -- It begins a window, too, in the place of one that was cut off within a unit.
      if age >= 549755813888 or size % 5 ~= 3 then
        left = nil
      else
        -- Units are in order of time: the first that counts is the first that is later than this.
        local cutoff, high = age - window, (size - 18) / 5
        first, cut = 1, limit / 2
        if limit > 36 then
          cut = limit / 16
          cut = cut - cut % 1 + 16
          -- Mostly no more have left.
          if cut < high then
            if unpack_at('>I5', value, 19 + 5 * cut) > cutoff then high = cut else first = cut + 1 end
          end
        end
        while first < high do
          local middle = (first + high) / 2
          middle = middle - middle % 1
          if unpack_at('>I5', value, 19 + 5 * middle) > cutoff then high = middle else first = middle + 1 end
        end
        left = left + first
      end
    end
  end
elseif not value then
  left = limit
end
--- @commit
reset = window
if value then
  bytes = pack('>I5', age)
  if cost > 1 then bytes = string.rep(bytes, cost) end
  if first and first >= cut then
    ttl = text
    bytes = pack('>I6I6I6', base, 0, now + 2 * window) .. string.sub(value, 19 + 5 * first) .. bytes
  elseif expires < now + window then
    ttl = text
    bytes = pack('>I6I6I6', base, 0, now + 2 * window) .. string.sub(value, 19) .. bytes
  end
else
  if not fresh then
    fresh = pack('>I6I6I6I5', now, 0, now + 2 * window, 0)
    if cost > 1 then fresh = fresh .. string.rep('\0\0\0\0\0', cost - 1) end
  end
  ttl, bytes = text, fresh
end
--- @refuse
reset, retry = 0, 0
if left < limit then reset = newest + window - age end
-- It fits once the oldest cost - left of the units that count have left.
if left < cost then
  retry = unpack_at('>I5', value, 14 + 5 * ((first or 0) + cost - left)) + window - age
  if expires < now + reset then
    -- The window was made longer: its units must outlive the shorter one.
    call('SETRANGE', key, '12', pack('>I6', now + reset))
    call('PEXPIRE', key, string.format('%d', reset + spare_ms))
  end
end
--- @general
local algorithm = { number = NUMBER }

local function offset_of(body, index)
  return (unpack_at('>I5', body, 1 + 5 * index))
end

-- Index of the first unit later than `cutoff`.
local function first_live(body, units, cutoff)
  local low, high = 0, units
  while low < high do
    local middle = floor((low + high) / 2)
    if offset_of(body, middle) > cutoff then high = middle else low = middle + 1 end
  end
  return low
end

function algorithm.read(w, rule)
  w.units, w.first, w.at, w.newest = #w.body / 5, 0, now, now
  if w.units > 0 then
    w.newest = w.base + offset_of(w.body, w.units - 1)
    w.at = max(now, w.newest)
    w.first = first_live(w.body, w.units, w.at - rule.window - w.base)
  end
  w.used = w.units - w.first
  w.start = w.used > 0 and w.base + offset_of(w.body, w.first) or w.at
end

function algorithm.reset(w, rule)
  return w.newest + rule.window - w.at
end

function algorithm.retry(w, rule)
  return w.base + offset_of(w.body, w.first + w.used + rule.cost - rule.limit - 1) + rule.window - w.at
end

-- Writes the units from index `first` on, and `added` more.
local function write(w, rule, first, added)
  local base, body = w.base, sub(w.body, 1 + 5 * first)
  if body == '' then
    base = w.at
  elseif w.at - base >= 549755813888 then
    local from, offsets = offset_of(body, 0), {}
    for index = 0, #body / 5 - 1 do
      offsets[index + 1] = pack('>I5', offset_of(body, index) - from)
    end
    base, body = base + from, table.concat(offsets)
  end
  save(w, rule, base, body .. rep(pack('>I5', w.at - base), added), w.at - now + 2 * rule.window)
end

function algorithm.add(w, rule)
  local cut = min(rule.limit / 2, 16 + floor(rule.limit / 16))
  local cuts = w.blocked > w.at or w.first >= cut or w.at - w.base >= 549755813888
  write(w, rule, cuts and w.first or 0, rule.cost)
end

function algorithm.take(w, rule)
  write(w, rule, w.first + min(rule.cost, w.used), 0)
end
--- @charges
function algorithm.charges(base, body)
  local list = {}
  for index = 0, #body / 5 - 1 do
    list[index + 1] = { base + offset_of(body, index), 1 }
  end
  return list
end

-- Of more than twice the limit the youngest: a log takes memory for each unit.
function algorithm.adopt(list, rule)
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
