-- quota.lua: a counter for each day or month of a calendar.
-- Needs save.lua in front of it.
--
-- Calendars and time zones are the client's, the time is the server's: `extra`
-- holds the starts of a few periods around the client's idea of now, as texts
-- in ms separated by blanks, and the period that the server's time lies in is
-- taken. When there is none, w.stale is set: the client, which then knows the
-- server's time, asks again.
--
-- When the period is another than the one that was counted in, since the policy
-- was changed, its units count if the last of them came in the new one: rather
-- too many than too few, and never beyond the new period's end.
--
-- Base: begin of the period. Body: 4 bytes units, 6 bytes end of the period, 6 bytes
-- time of the last unit (ms).

local quota = { tag = 5 }

-- -> the period that `at` lies in, if it is among those given
function quota.period_of(at, rule)
  local from
  for text in string.gmatch(rule.extra, '%d+') do
    local start = tonumber(text)
    if from and from <= at and at < start then return from, start end
    from = start
  end
end

function quota.read(w, rule)
  w.at, w.used, w.last = now, 0, now
  local units, ends, last
  if w.body ~= '' then
    w.at = max(now, w.base)
    units, ends, last = unpack_at('>I4I6I6', w.body)
  end
  w.start, w.ends = quota.period_of(w.at, rule)
  if units and w.at < ends then
    if not w.start then w.start, w.ends = w.base, ends end
    if w.start == w.base and w.ends == ends then
      w.used, w.last = units, last
    elseif last >= w.start then
      w.used, w.last, w.base, w.changed = units, last, w.start, true
      w.body = pack('>I4I6I6', units, w.ends, last)
    end
  elseif not w.start then
    w.stale, w.start, w.ends = true, w.at, w.at
  end
end

function quota.reset(w)
  return w.ends - w.at
end

quota.retry = quota.reset

function quota.add(w, rule)
  save(w, quota.tag, w.start, pack('>I4I6I6', w.used + rule.cost, w.ends, w.at), max(1, w.ends - now))
end

function quota.take(w, rule)
  save(w, quota.tag, w.start, pack('>I4I6I6', max(0, w.used - rule.cost), w.ends, w.last), max(1, w.ends - now))
end

return quota
