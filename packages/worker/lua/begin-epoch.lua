-- begin-epoch.lua: begins a new epoch of a shard's outbox when another Redis process gives its numbers now.
--
-- KEYS   [1] the outbox' head
-- Reply  {} when nothing changed, else {old epoch, its last number here, new epoch}
-- Events none
--
-- A replica that became master, or a process that read its data from disk, may be
-- behind what the former process had given out, and would give those numbers out
-- again. The head's field `run` is the run id of the process that began the epoch,
-- and travels with the data. INFO is asked of the server that holds the shard;
-- where it may not be asked, epochs end with the data alone, as ever.

local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)')
local epoch, seq, known = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'run'))
if not run or not epoch or known == run then
  return {}
end
if not known then
  redis.call('HSET', KEYS[1], 'run', run)
  return {}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local new = string.format('%.0f', math.max(now, tonumber(epoch) + 1))
redis.call('HSET', KEYS[1], 'epoch', new, 'seq', 0, 'dropped', 0, 'run', run)
return { epoch, seq or '0', new }
