-- batch.lua: decides a batch of requests by one algorithm. The hot path.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 1 whether a key comes twice; then runs, each describing
--        the next `count` requests: 4 count, then the rule as in lone.lua
-- Reply  one string, big-endian: 6 bytes server time (ms), then 4 bytes a request: the units that remain, when it is
--        allowed and all is free again a window from now; else 0xFFFFFFFF. For each of those 17 bytes:
--        1 outcome, 4 remaining (units), 6 reset after (ms), 6 retry after (ms).
--        Outcomes: 0 allowed, 1 limited, 2 limited and blocked from now on, 3 was blocked, 4 fits but another of its group
--        does not, 5 the period is not among those given, 6 the window is another algorithm's (only of lone.lua and
--        batch.lua: group.lua takes it over). Behind a block, whose window has no units to give, `remaining` is how many
--        ms of the block are left. All bits set stand for ever.
--        At the end, when the outbox was full: 4 bytes, how many events it dropped.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- A batch reads all its windows with one MGET, unless a key comes twice: two requests for one key must see each other, so
-- each reads its own then.
--
-- The sections stand inline in the loop: a call of a Lua function costs as much as the sums in it. What they leave open is
-- decided by general.lua, whose functions are only made when a request needs them: Redis makes a script's functions
-- at each call, and there are twenty.
--- @include "includes/now.lua"
local function rare()
--- @include "../../redis/lua/includes/clock.lua"
--- @include "includes/window.lua"
local take_over
local function make_algorithm()
--- @paste general
return algorithm
end
--- @include "includes/general.lua"
return decide, events_dropped
end

local pack, unpack_at, call = struct.pack, struct.unpack, redis.call
local keys, rules = KEYS, ARGV[1]
local outbox_cap, repeated = unpack_at('>I4I1', rules)
repeated = repeated == 1
-- Each request's window, and once it is decided its answer: a second table would have to grow.
local slots = repeated and {} or call('MGET', unpack(keys))
local rest, others, decide, events_dropped = nil, 0, nil, nil

local index, from = 0, 6
while from <= #rules do
  local count, limit, window, block, mode, cost, extra, text
  count, limit, window, block, mode, cost, extra, text, from = unpack_at('>I4I4I6I4I1I4I4I1c0', rules, from)
  -- The value of a new window: the same for all of a run.
  local fresh
  for place = index + 1, index + count do
    local key = keys[place]
    if repeated then slots[place] = redis.pcall('GET', key) end
    -- True: still to be decided, by general.lua.
    local value, answer = slots[place], true
    if mode < 2 then
      local left, reset, retry, bytes, ttl, offset
--- @paste check
      if not left then
        -- No common case.
      elseif left >= cost then
--- @paste commit
        if ttl then
          call('SET', key, bytes, 'PX', ttl)
        elseif offset then
          call('SETRANGE', key, offset, bytes)
        else
          call('APPEND', key, bytes)
        end
        if reset == window then
          slots[place] = left - cost
          answer = nil
        else
          answer = pack('>I1I4I6I6', 0, left - cost, reset, 0)
        end
      elseif block == 0 then
--- @paste refuse
        answer = pack('>I1I4I6I6', 1, left > 0 and left or 0, reset, retry)
      end
    end
    if answer then
      if answer == true then
        if not decide then decide, events_dropped = rare() end
        answer = decide(key, value, {
          number = NUMBER, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra,
          text = text,
        }, outbox_cap)
      end
      rest = rest or {}
      others = others + 1
      rest[others] = answer
      slots[place] = 4294967295
    end
  end
  index = index + count
end
local answers = pack('>I6' .. string.rep('I4', index), now, unpack(slots))
if not rest then return answers end
if events_dropped and events_dropped() > 0 then rest[others + 1] = pack('>I4', events_dropped()) end
return answers .. table.concat(rest)
