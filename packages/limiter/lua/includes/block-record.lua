-- block-record.lua: what is known of a running block, and its trail.
-- Needs clock.lua and outbox.lua in front of it.
--
-- Provides
--   block_key(window_key)       the key of the window's block record
--   block_save(window_key, at, blocked_until, outbox_cap, facts)
--                               opens a record and emits its first event
--   block_emit(record_key, at, outbox_cap)
--                               emits a later event of an open record
--   BLOCK_FOREVER               blocked-until of a block without an end
--
-- A record is a hash that lives a minute longer than its block, so that the
-- last counts still find it. Every event is a snapshot of the whole record with
-- running totals: a reader of two of one block keeps the later one, in
-- whichever order they come. The first event is sequenced and gives the block
-- its identity (id_epoch, id_seq, id_at); the later ones are not.
--
-- When the outbox is full the block still begins; it has no identity then, the
-- drop has been counted, and it leaves no later events either.

local BLOCK_FOREVER = 281474976710655
local RECORD_GRACE_MS = 60000
local FOREVER_TTL_MS = 315360000000

local function block_key(window_key)
  return (string.gsub(window_key, '}:w:', '}:b:', 1))
end

local function block_fields(record)
  return {
    'key', record.key, 'limit', record.limit, 'window', record.window, 'count', record.count,
    'denied', record.denied, 'start', record.start, 'last', record.last, 'until', record['until'],
    'mode', record.mode, 'id_epoch', record.id_epoch, 'id_seq', record.id_seq, 'id_at', record.id_at,
  }
end

-- The same for the outbox, without names: LAYOUTS in src/outbox.ts of @spillway/redis. Numbers in a record have 14 digits at
-- most, which a concatenation keeps.
local function block_values(record)
  return cjson.encode(record.key) .. ',' .. record.limit .. ',' .. record.window .. ',' .. record.count .. ','
    .. record.denied .. ',' .. record.start .. ',' .. record.last .. ',' .. record['until'] .. ','
    .. record.mode .. ',' .. record.id_epoch .. ',' .. record.id_seq .. ',' .. record.id_at
end

local function block_ttl(blocked_until, at)
  if blocked_until == BLOCK_FOREVER then
    return FOREVER_TTL_MS
  end
  return blocked_until - at + RECORD_GRACE_MS
end

local function block_save(window_key, at, blocked_until, outbox_cap, facts)
  local record_key = block_key(window_key)
  local record = {
    key = window_key, limit = facts.limit, window = facts.window, count = facts.count, denied = facts.denied,
    start = facts.start, last = at, ['until'] = string.format('%.0f', blocked_until), mode = facts.mode,
    id_epoch = 0, id_seq = 0, id_at = at,
  }
  local epoch, seq = outbox_emit(outbox_tag(window_key), at, outbox_cap, true, 'block', block_values(record))
  if not epoch then
    redis.call('DEL', record_key)
    return
  end
  record.id_epoch, record.id_seq = epoch, seq
  -- Anything else that lies there is replaced.
  if type(redis.pcall('HSET', record_key, unpack(block_fields(record)))) ~= 'number' then
    redis.call('DEL', record_key)
    redis.call('HSET', record_key, unpack(block_fields(record)))
  end
  redis.call('PEXPIRE', record_key, ttl_ms(block_ttl(blocked_until, at)))
end

local function block_emit(record_key, at, outbox_cap)
  local flat, record = redis.call('HGETALL', record_key), {}
  for index = 1, #flat, 2 do
    record[flat[index]] = flat[index + 1]
  end
  outbox_emit(outbox_tag(record_key), at, outbox_cap, false, 'block', block_values(record))
end
