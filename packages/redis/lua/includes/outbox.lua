-- outbox.lua: hands an event to the audit trail in the same script that made it happen.
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
--                     of kind, epoch, seq, at and what `fields` says
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
-- `fields` is a list of names and values in turn, at least one of each. Of a type
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
