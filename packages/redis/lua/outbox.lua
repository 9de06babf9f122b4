-- outbox.lua: hands an event to the audit trail in the same script that made it happen.
--
-- Provides
--   outbox_tag(key)                                   the hash tag that a key begins with, '{sw:07}'
--   outbox_emit(tag, now, cap, sequenced, type, fields)
--       -> epoch, seq    the event's identity within its shard (seq 0 when not sequenced)
--       -> nil           the outbox was full; the event was counted as dropped
--   outbox_dropped                                    events that this call dropped so far
--
-- Keys it touches, all in the tag's slot
--   TAG:outbox        stream, one entry an event: type, epoch, seq, at, then `fields`
--   TAG:outbox:head   hash: epoch, seq, dropped (counters: no TTL)
--
-- Why an epoch: a flushed or emptied Redis starts counting at 1 again. The epoch
-- is the time at which this counter was born, so old and new numbers never meet.
--
-- Why a cap and no MAXLEN: trimming would lose the oldest events without a
-- trace. A full outbox refuses new ones instead and says how many.
--
-- Unsequenced events repeat what a later one says anew (running totals), so a
-- lost one is no gap in the trail.

local outbox_dropped = 0

local function outbox_tag(key)
  return string.match(key, '^{[^}]*}')
end

local function outbox_emit(tag, now, cap, sequenced, type, fields)
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
  redis.call('XADD', stream, '*', 'type', type, 'epoch', epoch, 'seq', seq, 'at', now, unpack(fields))
  return epoch, seq
end
