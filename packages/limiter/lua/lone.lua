-- lone.lua: decides one request by one algorithm. The hot path when nothing else is under way.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   [1] the window key
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), then the rule: 4 limit, 6 window (ms), 4 block (ms,
--        0 = none), 1 mode, 4 cost, 4 extra (buckets or burst), 1 length and that many bytes of text (the time to live of a
--        new window in ms; under `concurrency` the holder; of a quota the starts of periods)
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 6 peek under a policy in shadow mode
-- Reply  an integer for the commonest answer, allowed and all free again a window from now: remaining × 2^41 + server time
--        (ms). Else the string that batch.lua answers.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- Each argument and each reply that is a string costs Redis as much as the decision's own sums: hence one packed argument,
-- a time to live that is text, and an integer where the answer fits into 53 bits.
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

local pack, unpack_at, call, key = struct.pack, struct.unpack, redis.call, KEYS[1]
-- An error answer, of a key of another type, is a table: no common case, and no window for general.lua.
local value = redis.pcall('GET', key)
local outbox_cap, limit, window, block, mode, cost, extra, text = unpack_at('>I4I4I6I4I1I4I4I1c0', ARGV[1])
local left, reset, retry, bytes, ttl, offset, fresh
if mode < 2 then
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
    left = left - cost
    if reset == window and left < 4096 and now < 2199023255552 then return left * 2199023255552 + now end
    return pack('>I6I4I1I4I6I6', now, 4294967295, 0, left, reset, 0)
  elseif block == 0 then
--- @paste refuse
    return pack('>I6I4I1I4I6I6', now, 4294967295, 1, left > 0 and left or 0, reset, retry)
  end
end
local decide, events_dropped = rare()
local answer = pack('>I6I4', now, 4294967295) .. decide(key, value, {
  number = NUMBER, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra, text = text,
}, outbox_cap)
if events_dropped() > 0 then answer = answer .. pack('>I4', events_dropped()) end
return answer
