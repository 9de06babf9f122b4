-- algorithms.lua: what every algorithm offers to decide.lua.
-- Needs window.lua in front of it; the files beside it add their algorithm.
--
-- Each of those files returns a table:
--   tag              its number, in a window's base (window.lua)
--   read(w, rule)    sets w.at (never before what the window has seen), w.used (units
--                    that count now), w.start (time of the oldest of them) and, where
--                    it isn't the limit, w.capacity; w.changed when it read the body as another,
--                    w.body, that is to be kept
--   reset(w, rule)   ms from w.at until nothing counts any more
--   retry(w, rule)   ms from w.at until rule.cost more units fit, which now they don't
--   add(w, rule)     writes rule.cost more units
--   take(w, rule)    takes up to rule.cost units back: the oldest, where it knows which they are, so that
--                    none leaves the window before its time
--   renew(w, rule)   only of slots: gives them their full time again
-- w:    key, value, base, blocked, shadow, expires, body (of an absent window: now, 0, 0, '')
-- rule: algorithm (such a table), limit, window (ms), block (ms), mode, cost, extra (text)
--
-- They are made when a request first asks for them: make_log(), make_window() and so on.

local makers = {
  log = make_log, window = make_window, fixed = make_fixed, bucket = make_bucket, slots = make_slots, quota = make_quota,
}
local algorithms = {}

local function algorithm_of(name)
  local known = algorithms[name]
  if not known then
    known = makers[name]()
    algorithms[name] = known
  end
  return known
end
