// Generated from the Lua files by `pnpm build:lua`: change those, not this file.
import type { LuaScript } from './script.ts';

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

export const gap: LuaScript = {
  name: 'gap',
  sha1: '7dc8cae310ec7b5e5ddc68e9687fe1e2f27e2248',
  source: `${clock}
${outbox}
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
`,
};

export const live: LuaScript = {
  name: 'live',
  sha1: '4572294df6ba9284f18492b348bb04abe1497586',
  source: `${clock}
-- live.lua: counts the instances that are alive, by their heartbeats.
-- Needs clock.lua in front of it.
--
-- KEYS   [1] sorted set: instance ids, each with the time of its last beat (ms)
-- ARGV   [1] instance id, [2] 'beat' or 'leave',
--        [3] how long after its last beat an instance counts as alive (ms)
-- Reply  how many are alive
-- Events none
--
-- A failover can step TIME back: a beat from the future is forgotten too, or a
-- dead instance would be counted until the clock has caught up.

local key, id, ttl, now = KEYS[1], ARGV[1], tonumber(ARGV[3]), clock_ms()
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - ttl)
redis.call('ZREMRANGEBYSCORE', key, now + ttl, '+inf')
if ARGV[2] == 'leave' then
  redis.call('ZREM', key, id)
else
  redis.call('ZADD', key, now, id)
  redis.call('PEXPIRE', key, ttl_ms(ttl))
end
return redis.call('ZCARD', key)
`,
};

export const shards: LuaScript = {
  name: 'shards',
  sha1: '3c5bc4cfc80eb1767df396387104c245e9557de1',
  source: `${clock}
-- shards.lua: tells how many shards the processes of a deployment have.
-- Needs clock.lua in front of it.
--
-- KEYS   [1] sorted set: numbers of shards, each with when a process last said
--        that it has so many (ms)
-- ARGV   [1] how many this process has, [2] how long what was said holds (ms)
-- Reply  all numbers that hold
-- Events none
--
-- A failover can step TIME back: what was said in the future is forgotten too.

local key, ttl, now = KEYS[1], tonumber(ARGV[2]), clock_ms()
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - ttl)
redis.call('ZREMRANGEBYSCORE', key, now + ttl, '+inf')
redis.call('ZADD', key, now, ARGV[1])
redis.call('PEXPIRE', key, ttl_ms(ttl))
return redis.call('ZRANGE', key, 0, -1)
`,
};
