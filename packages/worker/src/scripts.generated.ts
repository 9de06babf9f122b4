// Generated from ../lua by `pnpm build:lua`: change the Lua, not this file.
import type { LuaScript } from '@spillway/redis';

export const beginEpoch: LuaScript = {
  name: 'begin-epoch',
  sha1: 'b5b92e9a25f34a911487c07a57d8156f3890e86d',
  source: `-- begin-epoch.lua: begins a new epoch of a shard's outbox when another Redis process gives its numbers now.
--
-- KEYS   [1] the outbox' head
-- Reply  {} when nothing changed, else {old epoch, its last number here, new epoch}
-- Events none
--
-- A replica that became master, or a process that read its data from disk, may be
-- behind what the former process had given out, and would give those numbers out
-- again. The head's field \`run\` is the run id of the process that began the epoch,
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
`,
};

export const forgetConsumers: LuaScript = {
  name: 'forget-consumers',
  sha1: 'e2fe37178cf38821839653184afc19c8c43b42ad',
  source: `-- forget-consumers.lua: removes consumers that hold nothing and won't come back.
--
-- KEYS   [1] the outbox stream
-- ARGV   [1] consumer group
--        [2] how long a consumer must have been silent (ms)
--        [3] a consumer to remove however lately it spoke, or ''
-- Reply  how many consumers were removed
-- Events none
--
-- XGROUP DELCONSUMER forgets a consumer's pending entries: they would be lost.
-- Looking and removing in one script makes sure that there are none.

local reply, removed = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1]), 0
if reply.err then
  return 0
end
for _, flat in ipairs(reply) do
  local consumer = {}
  for index = 1, #flat, 2 do
    consumer[flat[index]] = flat[index + 1]
  end
  local gone = consumer.name == ARGV[3] or consumer.idle >= tonumber(ARGV[2])
  if gone and consumer.pending == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    removed = removed + 1
  end
end
return removed
`,
};

export const release: LuaScript = {
  name: 'release',
  sha1: '62b12c19a6fcadf3245253ce4597d03051a4cc6b',
  source: `-- release.lua: takes handed-over entries out of a shard's outbox.
--
-- KEYS   [1] the outbox stream
-- ARGV   [1] consumer group, then the entries' ids (at most 5,000)
-- Reply  how many entries were still there
-- Events none
--
-- One script and not two commands: a worker killed between XACK and XDEL would
-- leave an entry that nobody reads again and that fills the outbox for ever.

redis.call('XACK', KEYS[1], unpack(ARGV))
return redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
`,
};
