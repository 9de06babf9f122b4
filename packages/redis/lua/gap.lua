--- @include "includes/clock.lua"
--- @include "includes/outbox.lua"
-- gap.lua: records decisions that were made without Redis, one gap an outage.
-- Needs clock.lua and outbox.lua in front of it.
--
-- KEYS   [1] TAG:outage:KIND, the outage that was reported last
-- ARGV   [1] outbox cap, [2] kind, [3] instance id, [4] the report's number
--        (1, 2, … of this instance), [5] how long ago its first decision
--        without Redis was (ms), [6] how long ago the last one was (ms), then
--        names of answers and how many decisions had each, in turn
-- Reply  1 recorded, 0 the outbox is full: report it again later
-- Events type 'gap', a snapshot with running totals: kind, from, to (ms),
--        instances, reports, id_epoch, id_seq, id_at, then a:NAME for each answer
--
-- An outage ends for all instances at once, and each tells of it when it
-- notices. Reports whose stretches overlap, or are not further than MERGE_MS
-- apart, are one outage: the first one opens the record and gives it the
-- identity of its (sequenced) event; the others add to it and emit unsequenced
-- snapshots under the same identity. The record lives OPEN_MS after the last report.
--
-- A report may arrive twice, since an instance that got no reply sends it again:
-- the record keeps each instance's last number. Nobody tells a time here, only
-- how long ago something was: clients' clocks differ.

local OPEN_MS = 60000
local MERGE_MS = 5000

local key, cap, kind, instance, number = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local now, tag = clock_ms(), outbox_tag(KEYS[1])
local from, to = now - tonumber(ARGV[5]), now - tonumber(ARGV[6])

local function snapshot()
  local flat, fields = redis.call('HGETALL', key), { 'kind', kind }
  for index = 1, #flat, 2 do
    -- Who has reported stays here.
    if string.sub(flat[index], 1, 2) ~= 'n:' then
      fields[#fields + 1] = flat[index]
      fields[#fields + 1] = flat[index + 1]
    end
  end
  return fields
end

if redis.call('XLEN', tag .. ':outbox') >= cap then
  return 0
end

local known = redis.call('HMGET', key, 'from', 'to', 'n:' .. instance)
local first = not known[1] or from > tonumber(known[2]) + MERGE_MS or to < tonumber(known[1]) - MERGE_MS
if not first and known[3] and tonumber(known[3]) >= number then
  return 1
end

if first then
  redis.call('DEL', key)
  known = { from, to, false }
end
redis.call('HSET', key, 'from', math.min(from, tonumber(known[1])), 'to', math.max(to, tonumber(known[2])),
  'n:' .. instance, number)
redis.call('PEXPIRE', key, ttl_ms(OPEN_MS))
redis.call('HINCRBY', key, 'reports', 1)
redis.call('HINCRBY', key, 'instances', known[3] and 0 or 1)
for index = 7, #ARGV, 2 do
  redis.call('HINCRBY', key, 'a:' .. ARGV[index], ARGV[index + 1])
end
if first then
  redis.call('HSET', key, 'id_epoch', 0, 'id_seq', 0, 'id_at', 0)
end
local epoch, seq = outbox_emit(tag, now, cap, first, 'gap', snapshot())
if first then
  redis.call('HSET', key, 'id_epoch', epoch, 'id_seq', seq, 'id_at', now)
end
return 1
