// Generated from the Lua files by `pnpm build:lua`: change those, not this file.
import type { LuaScript } from '@spillway/redis';

const clock = `-- clock.lua: the one place where a script learns the time.
--
-- Provides
--   clock_ms()   milliseconds since 1970 by this Redis server, never by a client
--   ttl_ms(ms)   the time to live to give a key that must outlast \`ms\`
--
-- A separate file so that tests can put a clock that they turn by hand in its
-- place; no other script calls TIME.

local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function ttl_ms(ms)
  return ms
end
`;

const outbox = `-- outbox.lua: hands an event to the audit trail in the same script that made it happen.
--
-- Provides
--   outbox_tag(key)                                   the hash tag that a key begins with, '{sw:07}'
--   outbox_emit(tag, now, cap, sequenced, kind, fields)
--       -> epoch, seq    the event's identity within its shard (seq 0 when not sequenced)
--       -> nil           the outbox was full; the event was counted as dropped
--                        (with a cap of 0 there is no trail, and nothing is counted)
--   outbox_dropped                                    events that this call dropped so far
--
-- Keys it touches, all in the tag's slot
--   TAG:outbox        stream, one entry an event, with one field: 'e', a JSON list
--                     of kind, epoch, seq, at and what \`fields\` says
--   TAG:outbox:head   hash: epoch, seq, dropped (counters: no TTL)
--
-- Why an epoch: a flushed or emptied Redis starts counting at 1 again. The epoch
-- is the time at which this counter was born, so old and new numbers never meet.
--
-- Why a cap and no MAXLEN: trimming would lose the oldest events without a
-- trace. A full outbox refuses new ones instead and says how many.
--
-- Why one field: an entry of seventeen costs Redis and the reader five times as
-- much. Nobody looks at a part of an event before it is a row.
--
-- \`fields\` is a list of names and values in turn, at least one of each. Of a type
-- that comes in masses it is text instead: JSON values with commas between, whose names
-- the reader knows (LAYOUTS in src/outbox.ts): names were half of a block's event.
--
-- Unsequenced events are repeated by a later one (running totals), so a
-- lost one is no gap in the trail.

local outbox_dropped = 0

local function outbox_tag(key)
  return string.match(key, '^{[^}]*}')
end

-- Numbers become text as redis.call would make them; cjson's own have 14 digits.
local function outbox_pack(fields)
  for index = 1, #fields do
    local value = fields[index]
    fields[index] = type(value) == 'number' and string.format('%.17g', value) or tostring(value)
  end
  return string.sub(cjson.encode(fields), 2, -2)
end

local function outbox_emit(tag, now, cap, sequenced, kind, fields)
  if cap == 0 then return nil end
  local stream, head = tag .. ':outbox', tag .. ':outbox:head'
  if redis.call('XLEN', stream) >= cap then
    redis.call('HINCRBY', head, 'dropped', 1)
    outbox_dropped = outbox_dropped + 1
    return nil
  end
  local epoch = redis.call('HGET', head, 'epoch')
  if not epoch then
    epoch = string.format('%.0f', now)
    redis.call('HSET', head, 'epoch', epoch)
  end
  local seq = 0
  if sequenced then
    seq = redis.call('HINCRBY', head, 'seq', 1)
  end
  local rest = type(fields) == 'table' and outbox_pack(fields) or fields
  redis.call('XADD', stream, '*', 'e', string.format('["%s",%s,%.0f,%.0f,%s]', kind, epoch, seq, now, rest))
  return epoch, seq
end
`;

export const beginEpoch: LuaScript = {
  name: 'begin-epoch',
  sha1: '0860d325e66bfaa408d9dfe417746713875d498f',
  source: `${clock}
${outbox}
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
-- again. The head's field \`run\` is the run id of the process that began the epoch,
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
`,
};

export const release: LuaScript = {
  name: 'release',
  sha1: '35d7623c36034a471d81db0e99832099fadb8630',
  source: `-- release.lua: takes stored entries out of a shard's outbox.
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
`,
};
