-- decide-one.lua: decides one request by its algorithm, whatever its case.
-- Needs what judge.lua needs, judge.lua, and make_algorithm(), which gives the algorithm, in front of it.
-- The rare part of decide-counters.lua: inside a function that is called when first needed.
--
-- Returns decide(outbox_cap, key, value, limit, window, block, mode, cost, extra) -> 17 bytes of the reply,
--         and events_dropped (judge.lua)

local algorithm = make_algorithm()

local function decide(outbox_cap, key, value, limit, window, block, mode, cost, extra)
  local rule = {
    algorithm = algorithm, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra,
  }
  local w = judge(key, value, rule)
  if w.outcome == 0 then return admit(w, rule) end
  return refuse(w, rule, outbox_cap)
end

return decide, events_dropped
