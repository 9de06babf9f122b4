--- @include "../includes/sliding-log.lua"
-- log.lua: the sliding log (sliding-log.lua) as one of the algorithms.
-- Needs save.lua and sliding-log.lua in front of it.

-- Reads w.value, the whole string in Redis.
local log = { whole = true, tag = 0 }

function log.read(w, rule)
  if w.body == '' then
    w.units, w.first, w.at, w.newest = 0, 0, now, now
  else
    local _
    _, _, _, w.units, w.first, w.newest, w.at = log_read(w.value, rule.window)
  end
  w.used = w.units - w.first
  w.start = w.used > 0 and w.base + log_offset(w.value, w.first) or w.at
end

function log.reset(w, rule)
  return w.newest + rule.window - w.at
end

function log.retry(w, rule)
  local last = w.first + w.used + rule.cost - rule.limit - 1
  return w.base + log_offset(w.value, last) + rule.window - w.at
end

function log.add(w, rule)
  if w.body == '' then
    save(w, log.tag, now, rep('\0\0\0\0\0', rule.cost), 2 * rule.window)
  elseif w.blocked > w.at then
    local base, units = log_cut(w.value, w.base, w.first, w.units - 1, w.at)
    save(w, log.tag, base, units .. rep(pack('>I5', w.at - base), rule.cost), 2 * rule.window)
  else
    log_admit(w.key, w.value, w.base, w.expires, w.units, w.first, w.at, rule.limit, rule.window, rule.cost)
  end
end

function log.take(w, rule)
  local base, units = log_cut(w.value, w.base, w.first + min(rule.cost, w.used), w.units - 1, w.at)
  save(w, log.tag, base, units, 2 * rule.window)
end

return log
