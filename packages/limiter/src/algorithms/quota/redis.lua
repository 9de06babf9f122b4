-- The quota of a calendar's day or month: quota.ts beside this file. How sections work: ../README.md.
--
-- The rule's text holds the starts of a few periods around the client's idea of now, in ms separated by blanks: the period
-- that the server's time lies in is taken. When there is none, w.stale is set: the client, which then knows the
-- server's time, asks again. Of such requests there are few: they have the general way only.
--
-- Base: begin of the period. Body: 4 bytes units, 6 bytes end of the period, 6 bytes time of the last unit (ms).
--- @number 5
--- @general
local algorithm = { number = NUMBER }

-- -> the period that `at` lies in, if it is among those given
local function period_of(at, rule)
  local from
  for start in string.gmatch(rule.text, '%d+') do
    start = tonumber(start)
    if from and from <= at and at < start then return from, start end
    from = start
  end
end

function algorithm.read(w, rule)
  w.at, w.used, w.last = now, 0, now
  local units, ends, last
  if w.body ~= '' then
    w.at = max(now, w.base)
    units, ends, last = unpack_at('>I4I6I6', w.body)
  end
  w.start, w.ends = period_of(w.at, rule)
  if not w.start then
    w.stale, w.start, w.ends = true, w.at, w.at
  elseif units and w.at < ends and last >= w.start then
    w.used, w.last = units, last
    if w.start ~= w.base or w.ends ~= ends then
      -- Counted in another period, before the policy was changed: too many rather than too few.
      w.base, w.body, w.changed = w.start, pack('>I4I6I6', units, w.ends, last), true
    end
  end
end

function algorithm.reset(w)
  return w.ends - w.at
end

algorithm.retry = algorithm.reset

function algorithm.add(w, rule)
  save(w, rule, w.start, pack('>I4I6I6', w.used + rule.cost, w.ends, w.at), max(1, w.ends - now))
end

function algorithm.take(w, rule)
  save(w, rule, w.start, pack('>I4I6I6', max(0, w.used - rule.cost), w.ends, w.last), max(1, w.ends - now))
end
--- @charges
-- All as if they had come with the last of them.
function algorithm.charges(base, body)
  local units, ends, last = unpack_at('>I4I6I6', body)
  if units == 0 or max(now, base) >= ends then return {} end
  return { { last, units } }
end

function algorithm.adopt(list, rule)
  local last = list[#list][1]
  local start, ends = period_of(max(now, last), rule)
  if not start then return nil, nil end
  local used = 0
  for place = 1, #list do
    if list[place][1] >= start then used = used + list[place][2] end
  end
  if used == 0 then return now, '' end
  return start, pack('>I4I6I6', used, ends, last)
end
