-- quota.lua: a counter for each day or month of a calendar.
-- Needs save.lua in front of it.
--
-- Calendars and time zones are the client's, the time is the server's: `extra`
-- holds the starts of a few periods around the client's idea of now, as texts
-- in ms separated by blanks, and the period that the server's time lies in is
-- taken. When there is none, w.stale is set: the client, which then knows the
-- server's time, asks again.
--
-- Base: begin of the period. Body: 4 bytes units, 6 bytes end of the period.

local quota = {}

function quota.read(w, rule)
  w.at, w.used = now, 0
  if w.body ~= '' then
    w.at = max(now, w.base)
    local units, ends = unpack_at('>I4I6', w.body)
    if w.at < ends then
      w.start, w.ends, w.used = w.base, ends, units
      return
    end
  end
  local from
  for text in string.gmatch(rule.extra, '%d+') do
    local start = tonumber(text)
    if from and from <= w.at and w.at < start then
      w.start, w.ends = from, start
      return
    end
    from = start
  end
  w.stale, w.start, w.ends = true, w.at, w.at
end

function quota.reset(w)
  return w.ends - w.at
end

quota.retry = quota.reset

function quota.add(w, rule)
  save(w, w.start, pack('>I4I6', w.used + rule.cost, w.ends), max(1, w.ends - now))
end

function quota.take(w, rule)
  save(w, w.start, pack('>I4I6', max(0, w.used - rule.cost), w.ends), max(1, w.ends - now))
end

return quota
