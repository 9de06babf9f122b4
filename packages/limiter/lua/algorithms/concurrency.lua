-- concurrency.lua: slots that are held until they are released or their time is up.
-- Needs save.lua in front of it.
--
-- The limit is how many slots may be held at once, the window how long a slot
-- lasts without being renewed: a holder that dies loses its slots after that.
-- `extra` is the holder's id of 8 characters; one holder may have several slots.
--
-- Body: 14 bytes a slot, the first to end first: 6 bytes end of its time (ms), 8 bytes holder.

local SLOT = 14
local slots = { tag = 4 }

function slots.read(w, rule)
  w.at, w.capacity, w.slots, w.used, w.start = max(now, w.body == '' and now or w.base), rule.limit, {}, 0, now
  for from = 1, #w.body, SLOT do
    local ends = unpack_at('>I6', w.body, from)
    if ends > w.at then
      w.used = w.used + 1
      w.slots[w.used] = { ends = ends, holder = sub(w.body, from + 6, from + SLOT - 1) }
    end
  end
end

function slots.reset(w)
  return w.used > 0 and w.slots[w.used].ends - w.at or 0
end

-- At the latest: a release comes sooner.
function slots.retry(w, rule)
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
  save(w, slots.tag, w.at, table.concat(body), max(1, last - now))
end

function slots.add(w, rule)
  for _ = 1, rule.cost do
    w.used = w.used + 1
    w.slots[w.used] = { ends = w.at + rule.window, holder = rule.extra }
  end
  write_slots(w, rule, w.slots)
end

function slots.take(w, rule)
  local kept = {}
  for place = 1, #w.slots do
    if w.slots[place].holder ~= rule.extra then kept[#kept + 1] = w.slots[place] end
  end
  write_slots(w, rule, kept)
end

-- Gives the holder's slots their full time again. -> how many there still are
function slots.renew(w, rule)
  local found = 0
  for place = 1, #w.slots do
    if w.slots[place].holder == rule.extra then
      w.slots[place].ends, found = w.at + rule.window, found + 1
    end
  end
  write_slots(w, rule, w.slots)
  return found
end

return slots
