-- decide-log.lua: decides a batch of requests by the exact sliding log. The hot path.
-- Needs clock.lua, outbox.lua, block-record.lua, window.lua and sliding-log.lua in front of it.
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] the outbox cap (entries a shard), then runs of six, each describing
--        the next `count` requests:
--        limit, window (ms), block (ms, 0 = none), mode, cost, count
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing)
-- Reply  one string: 6 bytes server time (ms), then 13 bytes a request:
--        1 outcome, 4 remaining (units), 4 reset after (ms), 4 retry after (ms),
--        big-endian. Outcomes: 0 allowed, 1 limited, 2 limited and blocked from
--        now on, 3 was blocked. 0xFFFFFFFF ms stands for ever.
--        At the end, when the outbox was full: 4 bytes, how many events it dropped.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- A batch reads all its windows with one MGET. Two requests for one key in one
-- batch must see each other: a key that was written is read again.
--
-- decide.lua does the same for every algorithm and for several policies at once,
-- at twice the cost a request. The two share sliding-log.lua, and one suite of
-- tests holds them to the same answers.

local outbox_cap = tonumber(ARGV[1])
local keys = KEYS
local values = call('MGET', unpack(keys))
local replies = { pack('>I6', now) }

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
  log_first(key, window, cost)
  reply(index, 0, limit - cost, window, 0)
end

local function decide(index, key, value, limit, window, block, mode, cost)
  local base, blocked, expires, units, first, newest, at = log_read(value, window)
  if blocked > at then
    local left = blocked - at
    if left > FOREVER then left = FOREVER end
    return reply(index, 3, 0, left, left)
  end

  local live = units - first
  if live + cost <= limit then
    if mode == 2 then
      local reset = live > 0 and newest + window - at or 0
      return reply(index, 0, limit - live, reset, 0)
    end
    log_admit(key, value, base, expires, units, first, at, limit, window, cost)
    return reply(index, 0, limit - live - cost, window, 0)
  end

  if block > 0 and mode ~= 2 then
    window_save(key, base, at + block, sub(value, HEADER + 1), newest + window - now)
    block_save(key, at, at + block, outbox_cap, {
      limit = limit, window = window, count = live, denied = 1, mode = mode,
      start = live > 0 and base + log_offset(value, first) or at,
    })
    return reply(index, 2, 0, block, block)
  end

  -- The request fits once the oldest live + cost - limit units have left.
  local retry = log_offset(value, first + live + cost - limit - 1) - (at - window - base)
  reply(index, 1, live < limit and limit - live or 0, newest + window - at, retry)
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
