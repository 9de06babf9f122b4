-- Slots that are held: concurrency.ts beside this file. How sections work: ../README.md.
--
-- The rule's text is the holder's id of 8 characters; one holder may have several slots.
-- Body: 14 bytes a slot, the first to end first: 6 bytes end of its time (ms), 8 bytes holder.
-- Slots stand in the order of their ends: while the first has not ended, none has.
--- @number 4
--- @check
local expires, last
if not value then
  left = limit
elseif #value > 31 then
  local base, blocked, first
  base, blocked, expires, first = unpack_at('>I6I6I6I6', value)
  base = base - NUMBER * 17592186044416
  last = unpack_at('>I6', value, #value - 13)
  if blocked == 0 and base <= now and base >= 0 and first > now and last <= now + window then
    left = limit - (#value - 18) / 14
  end
end
--- @commit
bytes = string.rep(pack('>I6', now + window) .. text, cost)
reset = window
if not value or expires < now + window then
  ttl = string.format('%d', 2 * window + spare_ms)
  bytes = pack('>I6I6I6', NUMBER * 17592186044416 + now, 0, now + 2 * window) .. string.sub(value or '', 19) .. bytes
end
--- @refuse
reset, retry = 0, 0
if value then
  reset = last - now
  if left < cost then retry = unpack_at('>I6', value, 19 + 14 * (cost - left - 1)) - now end
end
--- @general
local SLOT = 14
local algorithm = { number = NUMBER }

function algorithm.read(w, rule)
  w.at, w.capacity, w.slots, w.used, w.start = max(now, w.body == '' and now or w.base), rule.limit, {}, 0, now
  for from = 1, #w.body, SLOT do
    local ends = unpack_at('>I6', w.body, from)
    if ends > w.at then
      w.used = w.used + 1
      w.slots[w.used] = { ends = ends, holder = sub(w.body, from + 6, from + SLOT - 1) }
    end
  end
end

function algorithm.reset(w)
  return w.used > 0 and w.slots[w.used].ends - w.at or 0
end

-- At the latest: a release comes sooner.
function algorithm.retry(w, rule)
  return w.slots[w.used + rule.cost - rule.limit].ends - w.at
end

local function by_end(one, other)
  return one.ends < other.ends
end

-- In the order of their ends: a renewal, or another window, gets it out of order.
local function write_slots(w, rule, kept)
  local body, last = {}, w.at
  table.sort(kept, by_end)
  for place = 1, #kept do
    body[place] = pack('>I6', kept[place].ends) .. kept[place].holder
    last = max(last, kept[place].ends)
  end
  w.slots, w.used = kept, #kept
  save(w, rule, w.at, table.concat(body), max(1, last - now))
end

function algorithm.add(w, rule)
  for _ = 1, rule.cost do
    w.used = w.used + 1
    w.slots[w.used] = { ends = w.at + rule.window, holder = rule.text }
  end
  write_slots(w, rule, w.slots)
end

function algorithm.take(w, rule)
  local kept = {}
  for place = 1, #w.slots do
    if w.slots[place].holder ~= rule.text then kept[#kept + 1] = w.slots[place] end
  end
  write_slots(w, rule, kept)
end

-- Gives the holder's slots their full time again. -> how many there still are
function algorithm.renew(w, rule)
  local found = 0
  for place = 1, #w.slots do
    if w.slots[place].holder == rule.text then
      w.slots[place].ends, found = w.at + rule.window, found + 1
    end
  end
  write_slots(w, rule, w.slots)
  return found
end
--- @charges
-- Slots are held, not used: they are not charged to another algorithm, and what another has counted holds none.
function algorithm.charges()
  return {}
end

function algorithm.adopt()
  return now, ''
end
