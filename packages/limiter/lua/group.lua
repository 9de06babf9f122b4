-- group.lua: decides groups of requests, each request by an algorithm of its own: all of a group are charged, or none.
-- A shell with the sections of all algorithms (src/algorithms/README.md).
--
-- KEYS   one window key a request, in the order of the requests; within a group all are different
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 1 whether a key comes twice; then runs, each describing
--        the next `groups` groups: 4 groups, 1 requests in each, then for each of these 1 number of the algorithm and the
--        rule as in lone.lua
--        mode: as in lone.lua, and 3 charge (whether it fits or not), 4 give back, 5 renew (slots)
-- Reply  as batch.lua answers
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- First all requests of a group are checked, then either all that fit are charged or none. What a shadow policy refuses does
-- not refuse the group. Requests that are common cases of their algorithm are checked and charged by its sections, the
-- others of the group by general.lua.
--- @include "includes/now.lua"
local function rare()
--- @include "../../redis/lua/includes/clock.lua"
--- @include "includes/window.lua"
-- A window of another algorithm, since a policy was changed: kept as one of this unless the request only asks.
--
-- First the window is read as charges: a list of { time (ms), units }, oldest first. What an algorithm does not know is
-- taken for later than it was: units count rather too long than not at all, and never longer than a window of the new
-- policy from the last unit on. Periods that are over, by the numbers of the new policy, are not taken over. Then the
-- charges are written as the new algorithm would have kept them. The result does not depend on when that is done, but for
-- what has left by then.
local function take_over(w, from, rule)
  local list = from.charges(w.base, w.body, rule)
  local base, body = now, ''
  if #list > 0 then base, body = rule.algorithm.adopt(list, rule) end
  if not base then
    w.base, w.body = now, ''
    return true
  end
  w.base, w.body = base, body
  if rule.mode ~= 2 then
    window_save(w.key, base + rule.number * TAG, w.blocked, body, 2 * rule.window, w.shadow)
    w.expires = now + 2 * rule.window
  end
  return true
end

local function make_algorithm(number)
--- @each general
--- @paste general
--- @paste charges
return algorithm
--- @end
end
--- @include "includes/general.lua"
return judge, admit, refuse, events_dropped
end

local pack, unpack_at, call = struct.pack, struct.unpack, redis.call
local keys, rules = KEYS, ARGV[1]
local outbox_cap, repeated = unpack_at('>I4I1', rules)
repeated = repeated == 1
-- Each request's window, and once it is decided its answer.
local slots = repeated and {} or call('MGET', unpack(keys))
local rest, others = {}, 0
local judge, admit, refuse, events_dropped

local index, from = 0, 6
while from <= #rules do
  local groups, size
  groups, size, from = unpack_at('>I4I1', rules, from)
  local described = {}
  for place = 1, size do
    -- First six places for what is found out: whether it is a common case that fits, w where it is none; units left,
    -- reset, bytes, ttl, offset. Then the rule: number, limit, window, block, mode, cost, extra, text; and where it ends.
    local rule = { false, false, false, false, false, false, unpack_at('>I1I4I6I4I1I4I4I1c0', rules, from) }
    described[place], from = rule, rule[15]
  end
  for _ = 1, groups do
    local refused, stale = false, false
    for place = 1, size do
      local rule = described[place]
      local number, limit, window, mode, cost, extra, text = rule[7], rule[8], rule[9], rule[11], rule[12], rule[13], rule[14]
      if repeated then slots[index + place] = call('GET', keys[index + place]) end
      local value = slots[index + place]
      local left, reset, retry, bytes, ttl, offset, fresh
      if mode < 2 then
--- @each check
--- @paste check
        if left and left >= cost then
--- @paste commit
        end
--- @end
      end
      if bytes then
        rule[1], rule[2], rule[3], rule[4], rule[5], rule[6] = true, left - cost, reset, bytes, ttl, offset
      elseif left and rule[10] == 0 then
        rule[1] = false
        refused = refused or mode == 0
      else
        if not judge then judge, admit, refuse, events_dropped = rare() end
        local w, refuses = judge(keys[index + place], value, {
          number = number, limit = limit, window = window, block = rule[10], mode = mode, cost = cost, extra = extra,
          text = text,
        })
        rule[1], refused, stale = w, refused or refuses, stale or w.stale
      end
    end

    for place = 1, size do
      local rule = described[place]
      local found, units, answer = rule[1], nil, nil
      index = index + 1
      if found == true and not refused then
        local key, ttl, offset = keys[index], rule[5], rule[6]
        if ttl then
          call('SET', key, rule[4], 'PX', ttl)
        elseif offset then
          call('SETRANGE', key, offset, rule[4])
        else
          call('APPEND', key, rule[4])
        end
        if rule[3] == rule[9] then units = rule[2] else answer = pack('>I1I4I6I6', 0, rule[2], rule[3], 0) end
      elseif found == true or found == false then
        -- Asked once more, for when all is free again without this request.
        local number, limit, window, cost, extra = rule[7], rule[8], rule[9], rule[12], rule[13]
        local key, value = keys[index], slots[index]
        local left, reset, retry
--- @each check
--- @paste check
--- @paste refuse
--- @end
        local outcome = stale and 5 or found and 4 or 1
        answer = pack('>I1I4I6I6', outcome, left > 0 and left or 0, reset, found and 0 or retry)
      else
        if stale then
          found.outcome = 5
        elseif refused and found.outcome == 0 then
          found.outcome = 4
        end
        answer = found.outcome == 0 and admit(found, found.rule) or refuse(found, found.rule, outbox_cap)
      end
      if not units then
        others = others + 1
        rest[others] = answer
        units = 4294967295
      end
      slots[index] = units
    end
  end
end
if events_dropped and events_dropped() > 0 then rest[others + 1] = pack('>I4', events_dropped()) end
return pack('>I6' .. string.rep('I4', index), now, unpack(slots)) .. table.concat(rest)
