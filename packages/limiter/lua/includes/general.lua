-- general.lua: decides any request by its algorithm: what the sections @check, @commit and @refuse leave open.
-- Needs clock.lua, now.lua, window.lua and make_algorithm(number), which gives the table of a section @general, in front
-- of it; and take_over(w, from, rule), which makes a window of another algorithm one of this, or nil.
--
-- Provides
--   evaluate(key, value, rule)        -> w with its outcome, of what GET answered; and true when that refuses a group
--   admit(w, rule)                 charges what fits -> 17 bytes of the reply
--   refuse(w, rule, outbox_cap)    -> 17 bytes of the reply; may begin a block
--   decide(key, value, rule, outbox_cap)    does all three
--   events_dropped()               -> events that this call dropped so far
--
-- rule: number (the algorithm's), limit, window (ms), block (ms), mode, cost, extra, text; here algorithm is added
-- w:    key, rule, base, blocked, shadow, expires, body (of an absent window: now, 0, 0, '')
--
-- Waits are counted from now and not from w.at, which is later after the clock has stepped back: who waits as told is
-- admitted.

local block_save, dropped
local algorithms = {}

local function algorithm_of(number)
  local known = algorithms[number]
  if not known then
    known = make_algorithm(number)
    algorithms[number] = known
  end
  return known
end

-- The rare part of the rare part: when a block begins.
local function make_blocks()
--- @include "../../../redis/lua/includes/outbox.lua"
--- @include "block-record.lua"
return block_save, function() return outbox_dropped end
end

--- @include "window-value.lua"

local function window_of(key, value, rule)
  value = window_value(value)
  if not value then
    return { key = key, rule = rule, base = now, blocked = 0, expires = 0, body = '' }
  end
  local base, blocked, expires = unpack_at('>I6I6I6', value)
  local number, shadow = floor(base / TAG), blocked >= SHADOW and blocked < FOREVER
  if shadow then blocked = blocked - SHADOW end
  return {
    key = key, rule = rule, base = base - number * TAG, blocked = blocked, shadow = shadow, expires = expires,
    body = sub(value, HEADER + 1),
  }, number
end

local function reply(outcome, remaining, reset, retry)
  if reset > FOREVER then reset = FOREVER end
  if retry > FOREVER then retry = FOREVER end
  return pack('>I1I4I6I6', outcome, max(0, remaining), max(0, reset), max(0, retry))
end

local function evaluate(key, value, rule)
  rule.algorithm = algorithm_of(rule.number)
  -- 6 is a look at a policy that only watches.
  local mode, algorithm, w, number = rule.mode, rule.algorithm, window_of(key, value, rule)
  local watches = mode == 1 or mode == 6
  if mode == 6 then mode, rule.mode = 2, 2 end
  if number and number ~= rule.number and w.body ~= '' and not (take_over and take_over(w, algorithm_of(number), rule)) then
    w.outcome = 6
    return w, true
  end
  algorithm.read(w, rule)
  w.capacity = w.capacity or rule.limit
  if w.changed and mode ~= 2 then
    local ttl = w.at - now + algorithm.reset(w, rule)
    w.expires = window_save(key, w.base + rule.number * TAG, w.blocked, w.body, ttl, w.shadow)
  end
  if w.shadow and not watches and mode < 3 then
    -- What was only watched refuses no request when the policy enforces.
    w.blocked, w.shadow = 0, false
    if mode == 0 then call('SETRANGE', key, 6, '\0\0\0\0\0\0') end
  end
  if w.stale then
    w.outcome = 5
  elseif mode >= 3 then
    w.outcome = 0
  elseif w.blocked > w.at then
    w.outcome = 3
  elseif w.used + rule.cost > w.capacity then
    w.outcome = 1
  else
    w.outcome = 0
  end
  return w, w.outcome > 0 and mode ~= 1 or w.outcome == 5
end

local function refuse(w, rule, outbox_cap)
  local outcome, algorithm, reset, retry = w.outcome, rule.algorithm, 0, 0
  if outcome == 6 then return reply(6, 0, 0, 0) end
  local later = w.at - now
  if w.used > 0 then reset = later + algorithm.reset(w, rule) end
  if outcome > 3 then return reply(outcome, w.capacity - w.used, reset, 0) end
  if w.used + rule.cost > w.capacity then retry = later + algorithm.retry(w, rule) end
  if outcome == 1 and rule.block > 0 and rule.mode < 2 then
    outcome, w.blocked = 2, w.at + rule.block
    window_save(w.key, w.base + rule.number * TAG, w.blocked, w.body, reset, rule.mode == 1)
    if not block_save then block_save, dropped = make_blocks() end
    block_save(w.key, w.at, w.blocked, outbox_cap, {
      limit = rule.limit, window = rule.window, count = w.used, denied = 1, mode = rule.mode, start = w.start,
    })
  elseif rule.mode < 2 and w.used > 0 and w.expires < now + reset then
    -- The window was made longer: what has been used must outlive the shorter one, in a block too.
    local ttl = min(reset, FOREVER - now)
    call('SETRANGE', w.key, 12, pack('>I6', now + ttl))
    call('PEXPIRE', w.key, ttl_ms(ttl))
  end
  if outcome > 1 then
    -- The longer of block and window: a block may be shorter. In the place of the units that remain, which are none,
    -- stands how long the block lasts.
    if w.blocked == FOREVER then return reply(outcome, 4294967295, FOREVER, FOREVER) end
    local left = w.blocked - now
    return reply(outcome, min(left, 4294967294), max(left, reset), max(left, retry))
  end
  return reply(1, w.capacity - w.used, reset, retry)
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
    rule.algorithm.read(w, rule)
    w.capacity = w.capacity or rule.limit
  end
  if found == 0 then return reply(1, w.capacity - w.used, 0, 0) end
  return reply(0, w.capacity - w.used, w.used > 0 and w.at - now + rule.algorithm.reset(w, rule) or 0, 0)
end

local function decide(key, value, rule, outbox_cap)
  local w = evaluate(key, value, rule)
  if w.outcome == 0 then return admit(w, rule) end
  return refuse(w, rule, outbox_cap)
end

local function events_dropped()
  return dropped and dropped() or 0
end
