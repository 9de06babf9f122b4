-- sliding-log.lua: decides a batch of requests by the exact sliding log.
-- Needs clock.lua and outbox.lua in front of it.
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] the outbox cap (entries a shard), then runs of six, each describing
--        the next `count` requests:
--        limit, window (ms), block (ms, 0 = none), mode, cost, count
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing)
-- Reply  one string: 6 bytes server time (ms), then 13 bytes a request:
--        1 outcome, 4 remaining (units), 4 reset after (ms), 4 retry after (ms),
--        big-endian. Outcomes: 0 allowed, 1 limited, 2 limited and blocked from
--        now on, 3 was blocked. 0xFFFFFFFF ms stands for ever. At the end, when
--        the outbox was full: 4 bytes, how many events it dropped.
-- Events type 'block', when a block begins (block_save, block.lua).
--
-- The log
--
-- A window is one string: 6 bytes base time (ms), 6 bytes blocked-until (ms,
-- 0 = not blocked), 6 bytes expiry (ms), then 4 bytes for each admitted unit,
-- its time less the base, oldest first. A request of cost c at time t fits when
-- at most limit - c units lie in (t - window, t]; units at or before t - window
-- have left. The sliding log is the textbook exact limiter; ours are the
-- packing, and that a batch reads all its windows with one MGET.
--
-- What makes it fast is to write little: an admission appends its 4 bytes.
-- Two other things are done so seldom that they cost next to nothing:
--   * units that have left are cut off once they are half the limit, so that a
--     window holds at most one and a half times its limit;
--   * the time to live is set two windows ahead and moved on only when less
--     than one window is left of it, which the expiry in the header tells.
-- Rewriting the string at each admission is simpler and was twice as slow:
-- Lua hashes and keeps every string it makes.
--
-- Two requests for one key in one batch must see each other: a key that was
-- written is read again.
--
-- A failover can step TIME back. A window's own newest unit is a lower bound of
-- its time: `at` never runs behind it.

local FOREVER = 0xFFFFFFFF
local HEADER = 18
local REBASE_AFTER = 2147483648

local call, pack, unpack_at = redis.call, struct.pack, struct.unpack
local sub, rep, floor = string.sub, string.rep, math.floor

local now = clock_ms()
local outbox_cap = tonumber(ARGV[1])
local keys = KEYS
local values = call('MGET', unpack(keys))
local written = {}
local replies = { pack('>I6', now) }

local function offset_at(value, index)
  return (unpack_at('>I4', value, HEADER + 1 + 4 * index))
end

-- Index of the first unit later than `cutoff`, where the oldest is not; units are
-- in order of time.
local function first_live(value, units, cutoff)
  local low, high = 1, units
  while low < high do
    local middle = floor((low + high) / 2)
    if offset_at(value, middle) > cutoff then high = middle else low = middle + 1 end
  end
  return low
end

local function save(key, base, blocked, log, ttl)
  call('SET', key, pack('>I6I6I6', base, blocked, now + ttl) .. log, 'PX', ttl_ms(ttl))
  written[key] = true
end

-- Rewrites the window without the units that have left. Offsets are 32 bits: a
-- window in use for weeks gets a new base too.
local function compact(key, value, base, first, units, at, window, added)
  local log, new_base = sub(value, HEADER + 1 + 4 * first), base
  if at - base >= REBASE_AFTER then
    local from = first < units and offset_at(value, first) or at - base
    local offsets = {}
    for index = first, units - 1 do
      offsets[#offsets + 1] = pack('>I4', offset_at(value, index) - from)
    end
    log, new_base = table.concat(offsets), base + from
  end
  save(key, new_base, 0, log .. rep(pack('>I4', at - new_base), added), at - now + 2 * window)
end

local function append(key, base, expires, at, window, added)
  local unit = pack('>I4', at - base)
  call('APPEND', key, added == 1 and unit or rep(unit, added))
  if expires < at + window then
    local ttl = at - now + 2 * window
    call('SETRANGE', key, 12, pack('>I6', now + ttl))
    call('PEXPIRE', key, ttl_ms(ttl))
  end
  written[key] = true
end

-- Most answers of a batch say "allowed, N left, the window from now": each is
-- packed once.
local memo_reset, admitted = nil, {}

local function reply(index, outcome, remaining, reset, retry)
  if retry == 0 and reset == memo_reset then
    local memo = admitted[remaining]
    if not memo then
      memo = pack('>I1I4I4I4', 0, remaining, reset, 0)
      admitted[remaining] = memo
    end
    replies[index + 1] = memo
    return
  end
  if retry == 0 then memo_reset, admitted = reset, {} end
  replies[index + 1] = pack('>I1I4I4I4', outcome, remaining, reset, retry)
end

local function admit_first(index, key, limit, window, mode, cost)
  if mode == 2 then
    return reply(index, 0, limit, 0, 0)
  end
  save(key, now, 0, rep('\0\0\0\0', cost), 2 * window)
  reply(index, 0, limit - cost, window, 0)
end

local function decide(index, key, value, limit, window, block, mode, cost)
  -- Decoded in as few calls as can be: this is the hottest line of the product.
  local base, blocked, expires, oldest, newest, at
  local length = #value
  local units = (length - HEADER) / 4
  if units > 0 then
    base, blocked, expires, oldest = unpack_at('>I6I6I6I4', value)
    newest = base + unpack_at('>I4', value, length - 3)
    at = newest > now and newest or now
  else
    base, blocked, expires = unpack_at('>I6I6I6', value)
    oldest, newest, at = 0, now, now
  end

  if blocked > at then
    local left = blocked - at
    if left > FOREVER then left = FOREVER end
    return reply(index, 3, 0, left, left)
  end

  local cutoff = at - window - base
  local first = 0
  if units > 0 and oldest <= cutoff then
    first = first_live(value, units, cutoff)
  end
  local live = units - first

  if live + cost <= limit then
    if mode == 2 then
      local reset = live > 0 and newest + window - at or 0
      return reply(index, 0, limit - live, reset, 0)
    end
    if first > 0 and first * 2 >= limit or at - base >= REBASE_AFTER then
      compact(key, value, base, first, units, at, window, cost)
    else
      append(key, base, expires, at, window, cost)
    end
    return reply(index, 0, limit - live - cost, window, 0)
  end

  if block > 0 and mode ~= 2 then
    local keep = newest + window - now
    if keep < block + at - now then keep = block + at - now end
    save(key, base, at + block, sub(value, HEADER + 1), keep)
    block_save(key, at, at + block, outbox_cap, {
      limit = limit, window = window, count = live, denied = 1, mode = mode,
      start = base + offset_at(value, first),
    })
    return reply(index, 2, 0, block, block)
  end

  -- The request fits once the oldest live + cost - limit units have left.
  local retry = offset_at(value, first + live + cost - limit - 1) - cutoff
  reply(index, 1, limit - live, newest + window - at, retry)
end

local index = 0
for argument = 2, #ARGV, 6 do
  local limit, window, block = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1]), tonumber(ARGV[argument + 2])
  local mode, cost = tonumber(ARGV[argument + 3]), tonumber(ARGV[argument + 4])
  for _ = 1, tonumber(ARGV[argument + 5]) do
    index = index + 1
    local key = keys[index]
    local value = values[index]
    if written[key] then value = call('GET', key) end
    if value then
      decide(index, key, value, limit, window, block, mode, cost)
    else
      admit_first(index, key, limit, window, mode, cost)
    end
  end
end

if outbox_dropped > 0 then
  replies[#replies + 1] = pack('>I4', outbox_dropped)
end
return table.concat(replies)
