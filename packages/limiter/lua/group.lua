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
    w.expires = window_save(w.key, base + rule.number * TAG, w.blocked, body, 2 * rule.window, w.shadow)
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
return evaluate, admit, refuse, events_dropped
end

local pack, unpack_at, call = struct.pack, struct.unpack, redis.call
local keys, rules = KEYS, ARGV[1]
local outbox_cap, repeated = unpack_at('>I4I1', rules)
repeated = repeated == 1
-- Each request's window, and once it is decided its answer.
local slots = repeated and {} or call('MGET', unpack(keys))
-- What the check has found, made in their full size at once. bytes: what is to be written; false of a common refusal; w
-- of what is no common case. units: what remains when they are written; false where nothing is to be written here.
local bytes_of, units_of = { unpack(keys) }, { unpack(keys) }
-- How it is to be written, and the reset where it is not a window: most requests need none of them.
local ttl_of, offset_of, reset_of, long
local evaluate, admit, refuse, events_dropped

local index, from = 0, 6
while from <= #rules do
  local groups, size, first = unpack_at('>I4I1', rules, from)
  -- The requests at one place of their groups are alike, so each rule is read once for all of them. Where a key comes
  -- twice, one group is done before the next.
  local turns = 1
  if repeated then turns, groups = groups, 1 end
  for _ = 1, turns do
    local last = index + groups * size
    -- By the place of a group's first request. others: some are not written here.
    local refused, others
    if repeated then
      for at = index + 1, last do slots[at] = redis.pcall('GET', keys[at]) end
    end
    from = first
    for place = 1, size do
      local number, limit, window, block, mode, cost, extra, text
      number, limit, window, block, mode, cost, extra, text, from = unpack_at('>I1I4I6I4I1I4I4I1c0', rules, from)
      -- The value of a new window: the same for all.
      local fresh
      for at = index + place, last, size do
        local value = slots[at]
        local left, reset, retry, bytes, ttl, offset
        if mode < 2 then
--- @each check
--- @paste check
          if left and left >= cost then
--- @paste commit
          end
--- @end
        end
        if bytes then
          bytes_of[at], units_of[at] = bytes, left - cost
          if ttl then
            ttl_of = ttl_of or { false, false, false, false }
            ttl_of[at] = ttl
          elseif offset then
            offset_of = offset_of or { false, false, false, false }
            offset_of[at] = offset
          end
          if reset ~= window then
            reset_of = reset_of or { false, false, false, false }
            reset_of[at] = reset
          end
        else
          others = true
          local w, refuses = false, mode == 0
          if not left or block > 0 then
            if not evaluate then evaluate, admit, refuse, events_dropped = rare() end
            w, refuses = evaluate(keys[at], value, {
              number = number, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra,
              text = text,
            })
          end
          bytes_of[at], units_of[at] = w, false
          if refuses then
            refused = refused or { false, false, false, false }
            refused[at - place + 1] = true
          end
        end
      end
    end

    for start = index, last - 1, size do
      if not (refused and refused[start + 1]) then
        for at = start + 1, start + size do
          local units = units_of[at]
          if units then
            local key, bytes, ttl, offset = keys[at], bytes_of[at], ttl_of and ttl_of[at], offset_of and offset_of[at]
            if ttl then
              call('SET', key, bytes, 'PX', ttl)
            elseif offset then
              call('SETRANGE', key, offset, bytes)
            else
              call('APPEND', key, bytes)
            end
            local reset = reset_of and reset_of[at]
            if reset then
              slots[at], long = pack('>I1I4I6I6', 0, units, reset, 0), true
            else
              slots[at] = units
            end
          end
        end
      end
    end

    if others then from = first end
    for place = 1, others and size or 0 do
      local number, limit, window, cost, extra, length
      number, limit, window, cost, extra, length, from = unpack_at('>I1I4I6xxxxxI4I4I1', rules, from)
      from = from + length
      for at = index + place, last, size do
        local key, w, units, withheld = keys[at], bytes_of[at], units_of[at], refused and refused[at - place + 1]
        if withheld and units or not w then
          -- Asked once more, for when all is free again without this request.
          local value = slots[at]
          local left, reset, retry
--- @each check
--- @paste check
--- @paste refuse
--- @end
          slots[at], long = pack('>I1I4I6I6', units and 4 or 1, left > 0 and left or 0, reset, units and 0 or retry), true
        elseif not units then
          if w.outcome == 0 and withheld then w.outcome = 4 end
          slots[at], long = w.outcome == 0 and admit(w, w.rule) or refuse(w, w.rule, outbox_cap), true
        end
      end
    end
    index = last
  end
end
local rest = ''
if long then
  local answers, count = { '', '', '', '' }, 0
  for at = 1, index do
    if type(slots[at]) == 'string' then
      count = count + 1
      answers[count], slots[at] = slots[at], 4294967295
    end
  end
  rest = table.concat(answers)
end
if events_dropped and events_dropped() > 0 then rest = rest .. pack('>I4', events_dropped()) end
return pack('>I6' .. string.rep('I4', index), now, unpack(slots)) .. rest
