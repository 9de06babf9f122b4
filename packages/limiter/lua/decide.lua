-- decide.lua: decides groups of requests, each request by its own algorithm.
-- Needs clock.lua, now.lua, window.lua, make_blocks(), which gives the functions of blocks.lua, and algorithms.lua in
-- front of it.
--
-- KEYS   one window key a request, in the order of the requests; within a group
--        all are different
-- ARGV   [1] the outbox cap (entries a shard), then for each group its size and
--        for each of its requests seven:
--        algorithm, limit, window (ms), block (ms, 0 = none), mode, cost, extra
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 3 charge
--        (whether it fits or not), 4 give back, 5 renew (slots)
-- Reply  one string: 6 bytes server time (ms), then 13 bytes a request:
--        1 outcome, 4 remaining (units), 4 reset after (ms), 4 retry after (ms),
--        big-endian. Outcomes: 0 allowed, 1 limited, 2 limited and blocked from
--        now on, 3 was blocked, 4 fits but another of its group does not,
--        5 the period is not among those given. 0xFFFFFFFF ms stands for ever.
--        At the end, when the outbox was full: 4 bytes, how many events it dropped.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- A group is decided as a whole: first all its requests are judged, then either
-- all that fit are charged or none. What a shadow policy refuses does not
-- refuse the group.

local outbox_cap = tonumber(ARGV[1])
local replies = { pack('>I6', now) }
local block_save, dropped

local function open(key)
  local value = call('GET', key)
  if not value then
    return { key = key, value = '', base = now, blocked = 0, expires = 0, body = '' }
  end
  local base, blocked, expires = unpack_at('>I6I6I6', value)
  return { key = key, value = value, base = base, blocked = blocked, expires = expires, body = sub(value, HEADER + 1) }
end

local function reply(outcome, remaining, reset, retry)
  if reset > FOREVER then reset = FOREVER end
  if retry > FOREVER then retry = FOREVER end
  replies[#replies + 1] = pack('>I1I4I4I4', outcome, max(0, remaining), max(0, reset), max(0, retry))
end

local function judge(w, rule)
  rule.algorithm.read(w, rule)
  w.capacity = w.capacity or rule.limit
  if w.stale then
    w.outcome = 5
  elseif rule.mode >= 3 then
    w.outcome = 0
  elseif w.blocked > w.at then
    w.outcome = 3
  elseif w.used + rule.cost > w.capacity then
    w.outcome = 1
  else
    w.outcome = 0
  end
  return w.outcome > 0 and rule.mode ~= 1 or w.outcome == 5
end

local function begin_block(w, rule)
  local algorithm = rule.algorithm
  window_save(w.key, w.base, w.at + rule.block, w.body, algorithm.reset(w, rule))
  if not block_save then block_save, dropped = make_blocks() end
  block_save(w.key, w.at, w.at + rule.block, outbox_cap, {
    limit = rule.limit, window = rule.window, count = w.used, denied = 1, mode = rule.mode, start = w.start,
  })
  reply(2, 0, rule.block, rule.block)
end

local function refuse(w, rule)
  local algorithm = rule.algorithm
  if w.outcome == 3 then
    reply(3, 0, w.blocked - w.at, w.blocked - w.at)
  elseif w.outcome == 1 and rule.block > 0 and rule.mode < 2 then
    begin_block(w, rule)
  elseif w.outcome == 1 then
    reply(1, w.capacity - w.used, algorithm.reset(w, rule), algorithm.retry(w, rule))
  else
    reply(w.outcome, w.capacity - w.used, w.used > 0 and algorithm.reset(w, rule) or 0, 0)
  end
end

local function write(w, rule)
  local algorithm = rule.algorithm
  if rule.mode == 4 then
    if w.used > 0 then algorithm.take(w, rule) end
  elseif rule.mode == 5 then
    return algorithm.renew(w, rule)
  else
    algorithm.add(w, rule)
  end
end

-- A request that fits: written unless it only asks. What it leaves is read back,
-- so that every algorithm says it in one place.
local function admit(w, rule)
  local found
  if rule.mode ~= 2 then
    found = write(w, rule)
    if rule.algorithm.whole then w = open(w.key) end
    rule.algorithm.read(w, rule)
    w.capacity = w.capacity or rule.limit
  end
  if found == 0 then return reply(1, w.capacity - w.used, 0, 0) end
  local reset = w.used > 0 and rule.algorithm.reset(w, rule) or 0
  reply(0, w.capacity - w.used, reset, 0)
end

local argument, index = 2, 0
while argument <= #ARGV do
  local windows, rules, refused, stale = {}, {}, false, false
  local size = tonumber(ARGV[argument])
  argument = argument + 1
  for place = 1, size do
    local rule = {
      algorithm = algorithm_of(ARGV[argument]), limit = tonumber(ARGV[argument + 1]), window = tonumber(ARGV[argument + 2]),
      block = tonumber(ARGV[argument + 3]), mode = tonumber(ARGV[argument + 4]), cost = tonumber(ARGV[argument + 5]),
      extra = ARGV[argument + 6],
    }
    argument, index = argument + 7, index + 1
    local w = open(KEYS[index])
    refused = judge(w, rule) or refused
    stale = stale or w.stale
    windows[place], rules[place] = w, rule
  end
  for place = 1, size do
    local w, rule = windows[place], rules[place]
    if stale then w.outcome = 5 elseif refused and w.outcome == 0 then w.outcome = 4 end
    if w.outcome == 0 then admit(w, rule) else refuse(w, rule) end
  end
end
if dropped and dropped() > 0 then
  replies[#replies + 1] = pack('>I4', dropped())
end
return table.concat(replies)
