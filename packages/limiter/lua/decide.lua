--- @include "includes/now.lua"
--- @include "includes/judging.lua"
local function make_take_over()
--- @include "includes/take-over.lua"
end
local function make_log()
--- @include "algorithms/log.lua"
end
local function make_window()
--- @include "algorithms/sliding-window.lua"
end
local function make_fixed()
--- @include "algorithms/fixed-window.lua"
end
local function make_bucket()
--- @include "algorithms/token-bucket.lua"
end
local function make_slots()
--- @include "algorithms/concurrency.lua"
end
local function make_quota()
--- @include "algorithms/quota.lua"
end
--- @include "algorithms/algorithms.lua"
--- @include "includes/judge.lua"
-- decide.lua: decides groups of requests, each request by its own algorithm.
-- Needs what judge.lua needs, and judge.lua, in front of it.
--
-- KEYS   one window key a request, in the order of the requests; within a group
--        all are different
-- ARGV   [1] the outbox cap (entries a shard), then for each group its size and
--        for each of its requests seven:
--        algorithm, limit, window (ms), block (ms, 0 = none), mode, cost, extra
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 3 charge
--        (whether it fits or not), 4 give back, 5 renew (slots), 6 peek under a
--        policy in shadow mode
-- Reply  one string: 6 bytes server time (ms), then 17 bytes a request:
--        1 outcome, 4 remaining (units), 6 reset after (ms), 6 retry after (ms),
--        big-endian. Outcomes: 0 allowed, 1 limited, 2 limited and blocked from
--        now on, 3 was blocked, 4 fits but another of its group does not,
--        5 the period is not among those given, 6 the window is another algorithm's
--        (only of the scripts for single requests: decide.lua takes it over). Behind a block, whose window
--        has no units to give, `remaining` is how many ms of the block are left.
--        All bits set stand for ever.
--        At the end, when the outbox was full: 4 bytes, how many events it dropped.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- A group is decided as a whole: first all its requests are judged, then either
-- all that fit are charged or none. What a shadow policy refuses does not
-- refuse the group.

local outbox_cap = tonumber(ARGV[1])
local replies = { pack('>I6', now) }
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
    local w, refuses = judge(KEYS[index], call('GET', KEYS[index]), rule)
    refused = refuses or refused
    stale = stale or w.stale
    windows[place], rules[place] = w, rule
  end
  for place = 1, size do
    local w, rule = windows[place], rules[place]
    if stale then w.outcome = 5 elseif refused and w.outcome == 0 then w.outcome = 4 end
    replies[#replies + 1] = w.outcome == 0 and admit(w, rule) or refuse(w, rule, outbox_cap)
  end
end
if events_dropped() > 0 then
  replies[#replies + 1] = pack('>I4', events_dropped())
end
return table.concat(replies)
