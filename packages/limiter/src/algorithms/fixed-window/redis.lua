-- The fixed window: fixed-window.ts beside this file. How sections work: ../README.md.
--
-- Base: begin of the window. Body: 4 bytes units, 6 bytes time of the last unit (ms).
--- @number 2
--- @check
if not value then
  left = limit
elseif #value == 28 then
  local base, blocked, expires, used = unpack_at('>I6I6I6I4', value)
  base = base - NUMBER * 17592186044416
  if blocked == 0 and base <= now and base >= 0 then
    reset = base + window - now
    if reset <= 0 then
      value, left = nil, limit
    elseif expires >= base + window then
      left = limit - used
    end
  end
end
--- @commit
if value then
  offset, bytes = '18', pack('>I4I6', limit - left + cost, now)
else
  fresh = fresh or pack('>I6I6I6I4I6', NUMBER * 17592186044416 + now, 0, now + window, cost, now)
  ttl, bytes, reset = text, fresh, window
end
--- @refuse
if left == limit then reset = 0 end
retry = reset
--- @general
local algorithm = { number = NUMBER }

function algorithm.read(w, rule)
  w.at = w.body == '' and now or max(now, w.base)
  if w.body == '' or w.at >= w.base + rule.window then
    w.start, w.used, w.last = w.at, 0, w.at
  else
    w.start = w.base
    w.used, w.last = unpack_at('>I4I6', w.body)
  end
end

function algorithm.reset(w, rule)
  return w.start + rule.window - w.at
end

algorithm.retry = algorithm.reset

function algorithm.add(w, rule)
  save(w, rule, w.start, pack('>I4I6', w.used + rule.cost, w.at), w.start + rule.window - now)
end

function algorithm.take(w, rule)
  save(w, rule, w.start, pack('>I4I6', max(0, w.used - rule.cost), w.last), w.start + rule.window - now)
end
--- @charges
-- All as if they had come with the last of them.
function algorithm.charges(base, body, rule)
  local units, last = unpack_at('>I4I6', body)
  if units == 0 or base + rule.window <= max(now, base) then return {} end
  return { { last, units } }
end

-- When a fixed window would have begun isn't known: it begins with the last unit, so that none is forgotten.
function algorithm.adopt(list, rule)
  local last, used = list[#list][1], 0
  for place = 1, #list do
    if list[place][1] > last - rule.window then used = used + list[place][2] end
  end
  return last, pack('>I4I6', used, last)
end
