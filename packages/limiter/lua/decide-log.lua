--- @include "includes/now.lua"
local function rare()
--- @include "includes/decide-one-log.lua"
end
-- decide-log.lua: decides a batch of requests by the exact sliding log. The hot path.
-- Needs now.lua and the function rare() in front of it, which gives the functions of
-- decide-one-log.lua.
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] the outbox cap (entries a shard), [2] 1 when a key comes twice, else 0,
--        then runs of seven, each describing the next `count` requests:
--        limit, window (ms), block (ms, 0 = none), mode, cost, the time to live of
--        a new window (ms), count
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 6 peek in shadow mode
-- Reply  one string, big-endian: 6 bytes server time (ms), then 4 bytes a request:
--        the units that remain to whoever is allowed, and all is free again a window
--        from now; else 0xFFFFFFFF. For each of those X
--        1 outcome, 4 remaining (units), 4 reset after (ms), 4 retry after (ms).
--        Outcomes: 0 allowed, 1 limited, 2 limited and blocked from now on, 3 was
--        blocked. 0xFFFFFFFF ms stands for ever.
--        At the end, when the outbox was full: 4 bytes, how many events it dropped.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- A batch reads all its windows with one MGET, unless a key comes twice: two
-- requests for one key must see each other, so each reads its own then.
--
-- The commonest cases, a unit in a new window and one more in a window from which
-- none has left, stand inline in the loop: a call of a Lua function costs as much
-- as the sums in it. All others go to `decide`, whose functions are only made
-- when one of them comes: Redis makes a script's functions anew at each call,
-- and there are twenty.
--
-- decide-lone-log.lua does the same for a request on its own, with less around it.
-- decide-counters.lua does it for the algorithms that count. decide.lua does it for
-- all of them and for several policies at once, at a multiple of the cost. They share sliding-log.lua, and one suite of tests
-- holds them to the same answers.

local pack, unpack_at, call = struct.pack, struct.unpack, redis.call
local keys, repeated = KEYS, ARGV[2] == '1'
-- Each request's window, and once it is decided its answer: a second table would have to grow.
local slots = repeated and {} or call('MGET', unpack(keys))
local rest, decide, dropped, outbox_cap

local index = 0
for argument = 3, #ARGV, 7 do
  local limit, window = tonumber(ARGV[argument]), tonumber(ARGV[argument + 1])
  local common = ARGV[argument + 4] == '1' and ARGV[argument + 3] < '2'
  -- Text: Redis would have to print a number with 17 digits.
  local ttl = ARGV[argument + 5]
  local cutoff, renewed, oldest_base = now - window, now + window, now - 549755813888
  -- What only rare requests need is made a number when the first of them comes.
  local block, mode, cost
  for place = index + 1, index + tonumber(ARGV[argument + 6]) do
    local key, left, value = keys[place], nil, nil
    if repeated then value = call('GET', key) else value = slots[place] end
    if common then
      if not value then
        call('SET', key, pack('>I6I6I6I5', now, 0, now + 2 * window, 0), 'PX', ttl)
        left = limit - 1
      else
        local size = #value
        local free = limit - (size - 18) / 5
        if free > 0 and size > 18 then
          local base, blocked, expires, oldest = unpack_at('>I6I6I6I5', value)
          if blocked == 0 and base + oldest > cutoff and expires >= renewed
            and base > oldest_base and base + unpack_at('>I5', value, size - 4) <= now then
            call('APPEND', key, pack('>I5', now - base))
            left = free - 1
          end
        end
      end
    end
    if not left then
      if not decide then
        decide, dropped = rare()
        rest = {}
        outbox_cap = tonumber(ARGV[1])
      end
      if not mode then
        block, mode, cost = tonumber(ARGV[argument + 2]), tonumber(ARGV[argument + 3]), tonumber(ARGV[argument + 4])
      end
      rest[#rest + 1] = decide(outbox_cap, key, value, limit, window, block, mode, cost)
      left = 4294967295
    end
    slots[place] = left
  end
  index = index + tonumber(ARGV[argument + 6])
end
local answers = pack('>I6' .. string.rep('I4', index), now, unpack(slots))
if not rest then return answers end
if dropped() > 0 then rest[#rest + 1] = pack('>I4', dropped()) end
return answers .. table.concat(rest)
