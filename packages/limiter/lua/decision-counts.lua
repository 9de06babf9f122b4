--- @include "../../redis/lua/includes/clock.lua"
--- @include "../../redis/lua/includes/outbox.lua"
-- decision-counts.lua: records how many decisions fell how, for dashboards.
-- Needs clock.lua and outbox.lua in front of it.
--
-- KEYS   [1] any key of the shard whose outbox takes the counts
-- ARGV   [1] outbox cap, [2] over how many ms they were counted,
--        then a policy, an outcome and a count in turn
-- Reply  how many were recorded; for the others the outbox was full
-- Events type 'decisions' for each of them, sequenced: policy, outcome, count, over.

local cap, now, recorded = tonumber(ARGV[1]), clock_ms(), 0
for argument = 3, #ARGV, 3 do
  local fields = {
    'policy', ARGV[argument], 'outcome', ARGV[argument + 1], 'count', ARGV[argument + 2], 'over', ARGV[2],
  }
  if outbox_emit(outbox_tag(KEYS[1]), now, cap, true, 'decisions', fields) then
    recorded = recorded + 1
  end
end
return recorded
