-- judge.lua: judges, charges and answers one request by its algorithm.
-- Needs clock.lua, now.lua, window.lua, make_blocks(), which gives the functions of blocks.lua, and algorithms.lua in
-- front of it.
--
-- Provides
--   window_of(key, value)          -> w (algorithms.lua), of what GET answered
--   judge(w, rule)                 sets w.outcome; -> true when that refuses a group
--   admit(w, rule)                 charges what fits -> 13 bytes of the reply
--   refuse(w, rule, outbox_cap)    -> 13 bytes of the reply; may begin a block
--   events_dropped()               -> events that this call dropped so far

local block_save, dropped

local function window_of(key, value)
  if not value then
    return { key = key, value = '', base = now, blocked = 0, expires = 0, body = '' }
  end
  local base, blocked, expires = unpack_at('>I6I6I6', value)
  return { key = key, value = value, base = base, blocked = blocked, expires = expires, body = sub(value, HEADER + 1) }
end

local function reply(outcome, remaining, reset, retry)
  if reset > FOREVER then reset = FOREVER end
  if retry > FOREVER then retry = FOREVER end
  return pack('>I1I4I4I4', outcome, max(0, remaining), max(0, reset), max(0, retry))
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

local function begin_block(w, rule, outbox_cap)
  local algorithm = rule.algorithm
  window_save(w.key, w.base, w.at + rule.block, w.body, algorithm.reset(w, rule))
  if not block_save then block_save, dropped = make_blocks() end
  block_save(w.key, w.at, w.at + rule.block, outbox_cap, {
    limit = rule.limit, window = rule.window, count = w.used, denied = 1, mode = rule.mode, start = w.start,
  })
  return reply(2, 0, rule.block, rule.block)
end

local function refuse(w, rule, outbox_cap)
  local algorithm = rule.algorithm
  if w.outcome == 3 then
    return reply(3, 0, w.blocked - w.at, w.blocked - w.at)
  elseif w.outcome == 1 and rule.block > 0 and rule.mode < 2 then
    return begin_block(w, rule, outbox_cap)
  elseif w.outcome == 1 then
    local reset = algorithm.reset(w, rule)
    -- The window was made longer: what has been used must outlive the shorter one.
    if rule.mode < 2 and w.used > 0 and w.expires < w.at + reset then
      call('SETRANGE', w.key, 12, pack('>I6', w.at + reset))
      call('PEXPIRE', w.key, ttl_ms(w.at - now + reset))
    end
    return reply(1, w.capacity - w.used, reset, algorithm.retry(w, rule))
  end
  return reply(w.outcome, w.capacity - w.used, w.used > 0 and algorithm.reset(w, rule) or 0, 0)
end

-- A penalty fills a window up to twice its capacity and no further: without a bound a window would grow with each penalty.
local function write(w, rule)
  local algorithm = rule.algorithm
  if rule.mode == 3 then rule.cost = max(0, min(rule.cost, 2 * w.capacity - w.used)) end
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
    if rule.algorithm.whole then w = window_of(w.key, call('GET', w.key)) end
    rule.algorithm.read(w, rule)
    w.capacity = w.capacity or rule.limit
  end
  if found == 0 then return reply(1, w.capacity - w.used, 0, 0) end
  local reset = w.used > 0 and rule.algorithm.reset(w, rule) or 0
  return reply(0, w.capacity - w.used, reset, 0)
end

local function events_dropped()
  return dropped and dropped() or 0
end
