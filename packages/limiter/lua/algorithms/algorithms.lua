-- algorithms.lua: what every algorithm offers to decide.lua.
-- Needs window.lua in front of it; the files beside it add their algorithm.
--
-- algorithms[name] = {
--   read(w, rule)    sets w.at (never before what the window has seen), w.used (units
--                    that count now), w.start (time of the oldest of them) and, where
--                    it isn't the limit, w.capacity
--   reset(w, rule)   ms from w.at until nothing counts any more
--   retry(w, rule)   ms from w.at until rule.cost more units fit, which now they don't
--   add(w, rule)     writes rule.cost more units
--   take(w, rule)    takes up to rule.cost units back
-- }
-- w:    key, base, blocked, expires, body (all of an absent window: now, 0, 0, '')
-- rule: algorithm, limit, window (ms), block (ms), mode, cost, extra (text)

local algorithms = {}

-- What the functions of an algorithm write goes through here: a block stays.
local function save(w, base, body, ttl)
  window_save(w.key, base, w.blocked > w.at and w.blocked or 0, body, ttl)
end
