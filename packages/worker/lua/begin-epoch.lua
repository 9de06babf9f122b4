--- @include "../../redis/lua/includes/clock.lua"
--- @include "../../redis/lua/includes/outbox.lua"
-- begin-epoch.lua: begins a new epoch of a shard's outbox when another Redis process gives its numbers now.
-- Needs clock.lua and outbox.lua in front of it.
--
-- KEYS   [1] the outbox' head
-- ARGV   [1] the epoch that the caller saw last, 0 for none, [2] the highest number that it saw in it
-- Reply  {epoch, its last number, the epochs that ended: epoch and highest number in turn}, {} without an epoch
-- Events type 'epoch' for each epoch that ended, unsequenced: ended, seen (its highest number that is known), next,
--        dropped (events that a full outbox refused in it; '' where that isn't known). Above any cap.
--
-- A replica that became master, or a process that read its data from disk, may be
-- behind what the former process had given out, and would give those numbers out
-- again. The head's field `run` is the run id of the process that began the epoch,
-- and travels with the data. INFO is asked of the server that holds the shard;
-- where it may not be asked, epochs end with the data alone.
--
-- The event is written with the change, so that no worker has to live to tell it.
-- Each worker adds what it saw of an epoch that it finds ended: the data may know
-- less of it, or nothing at all.

local head, saw_epoch, saw_seq = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)')
local epoch, seq, dropped, known = unpack(redis.call('HMGET', head, 'epoch', 'seq', 'dropped', 'run'))
if not epoch then
  return {}
end

local now, ended = clock_ms(), {}
local function tell(old, seen, lost, next)
  outbox_emit(outbox_tag(head), now, math.huge, false, 'epoch', { 'ended', old, 'seen', seen, 'next', next, 'dropped', lost })
  ended[#ended + 1] = string.format('%.0f', old)
  ended[#ended + 1] = string.format('%.0f', seen)
end

local current, last = tonumber(epoch), tonumber(seq or 0)
if run and not known then
  redis.call('HSET', head, 'run', run)
elseif run and known ~= run then
  local old, seen = current, current == saw_epoch and math.max(last, saw_seq) or last
  current, last = math.max(now, old + 1), 0
  redis.call('HSET', head, 'epoch', string.format('%.0f', current), 'seq', 0, 'dropped', 0, 'run', run)
  tell(old, seen, dropped or 0, current)
  saw_epoch = old == saw_epoch and 0 or saw_epoch
end
if saw_epoch > 0 and saw_epoch ~= current then
  tell(saw_epoch, saw_seq, '', current)
end
return { string.format('%.0f', current), string.format('%.0f', last), unpack(ended) }
