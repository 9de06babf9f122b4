--- @include "includes/now.lua"
local function rare()
--- @include "includes/decide-one-log.lua"
end
-- decide-lone-log.lua: decides one request by the exact sliding log. The hot path when nothing else is under way.
-- Needs now.lua and the function rare() in front of it, which gives the functions of decide-one-log.lua.
--
-- KEYS   [1] the window key
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 4 limit, 6 window (ms),
--        4 block (ms, 0 = none), 1 mode, 4 cost; then as text the time to live of a new window (ms)
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 6 peek in shadow mode
-- Reply  an integer for the commonest answer, allowed and all free again a window
--        from now: remaining × 2^41 + server time (ms). Else the string that
--        decide-counters.lua answers for one request.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- Each argument, each number made of text and each reply that is a string costs
-- Redis as much as the decision's own sums: hence one packed argument, a time to
-- live that stays text, and an integer where the answer fits into 53 bits.

local pack, unpack_at, call, rule = struct.pack, struct.unpack, redis.call, ARGV[1]
local key = KEYS[1]
local cap, limit, window, block, mode, cost = unpack_at('>I4I4I6I4I1I4', rule)
local value, left = call('GET', key), nil

if cost == 1 and mode < 2 then
  if not value then
    call('SET', key, pack('>I6I6I6I5', now, 0, now + 2 * window, 0), 'PX', string.sub(rule, 24))
    left = limit - 1
  elseif #value > 18 then
    local base, blocked, expires, oldest = unpack_at('>I6I6I6I5', value)
    local free = limit - (#value - 18) / 5
    if free > 0 and blocked == 0 and base + oldest + window > now and expires >= now + window
      and now - base < 549755813888 and base + unpack_at('>I5', value, #value - 4) <= now then
      call('APPEND', key, pack('>I5', now - base))
      left = free - 1
    end
  end
end

if left and left < 4096 and now < 2199023255552 then
  return left * 2199023255552 + now
elseif left then
  return pack('>I6I1I4I6I6', now, 0, left, window, 0)
end
local decide, dropped = rare()
local answer = pack('>I6', now) .. decide(cap, key, value, limit, window, block, mode, cost)
if dropped() > 0 then answer = answer .. pack('>I4', dropped()) end
return answer
