-- decide-counters.lua: decides single requests under one of the algorithms that count.
-- Needs now.lua, counters-start.lua, the function rare(), which gives the function of decide-one.lua, and of the
-- folder lean/ one file in front of it.
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 1 whether to read each window by its own,
--        as one must where a key comes twice;
--        then runs, each describing the next `count` requests: 4 limit, 6 window (ms),
--        4 block (ms, 0 = none), 1 mode, 4 cost, 4 extra (buckets or burst), 4 count;
--        under `concurrency` 8 bytes a request follow: who holds its slot
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 6 peek in shadow mode
-- Reply  one string: 6 bytes server time (ms), then the 17 bytes a request that
--        decide.lua describes; at the end, when the outbox was full: 4 bytes,
--        how many events it dropped. All big-endian.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- lean(key, value, limit, window, block, cost, extra, holder) answers what comes
-- often, with the 17 bytes of a reply, and nil to all else. That is decided by
-- what decides groups (judge.lua): made when first needed, and many times dearer.

local rules = ARGV[1]
local outbox_cap, apart = unpack_at('>I4I1', rules)
local values = apart == 0 and call('MGET', unpack(KEYS))
local replies = { pack('>I6', now) }
local decide, dropped

local index, from = 0, 6
while from <= #rules do
  local limit, window, block, mode, cost, extra, count
  limit, window, block, mode, cost, extra, count, from = unpack_at('>I4I6I4I1I4I4I4', rules, from)
  for _ = 1, count do
    index = index + 1
    local key, value, holder, answered = KEYS[index], nil, nil, nil
    if values then value = values[index] else value = call('GET', key) end
    if has_holders then
      holder = sub(rules, from, from + 7)
      from = from + 8
    end
    if mode < 2 then answered = lean(key, value, limit, window, block, cost, extra, holder) end
    if not answered then
      if not decide then decide, dropped = rare() end
      answered = decide(outbox_cap, key, value, limit, window, block, mode, cost, holder or extra)
    end
    replies[index + 1] = answered
  end
end
if dropped and dropped() > 0 then
  replies[#replies + 1] = pack('>I4', dropped())
end
if index == 1 then return replies[1] .. replies[2] .. (replies[3] or '') end
return table.concat(replies)
