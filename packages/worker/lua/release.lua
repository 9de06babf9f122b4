-- release.lua: takes stored entries out of a shard's outbox.
--
-- KEYS   [1] the outbox stream
-- ARGV   [1] the id of the last entry that was read,
--        [2] its last value,
--        [3...] ids of the entries to take out; none: the last one and all before it
-- Reply  how many entries were taken out
-- Events none
--
-- Entries are added at one end and taken out at the other. So while the last one is
-- there, those before it are what was read with it, or the rest of that. When it is gone
-- another worker was faster, or Redis was emptied or replaced: what lies there then was
-- not read, and its ids may be lower where a clock is behind. An entry that has its id by
-- chance says something else.
--
-- Where a table takes nothing, its events stay among the others, which are named then.

local last = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not last or last[2][#last[2]] ~= ARGV[2] then
  return 0
end
if #ARGV > 2 then
  local taken = 0
  for index = 3, #ARGV do
    taken = taken + redis.call('XDEL', KEYS[1], ARGV[index])
  end
  return taken
end
redis.call('XDEL', KEYS[1], ARGV[1])
return 1 + redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[1])
