// Generated from ../lua by `pnpm build:lua`: change the Lua, not this file.
import type { LuaScript } from '@spillway/redis';

const clock = `-- clock.lua: the one place where a script learns the time.
--
-- Provides
--   clock_ms()   milliseconds since 1970 by this Redis server, never by a client
--   ttl_ms(ms)   the time to live to give a key that must outlast \`ms\`
--
-- A separate file so that tests can put a clock that they turn by hand in its
-- place; no other script calls TIME.

local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function ttl_ms(ms)
  return ms
end
`;

const outbox = `-- outbox.lua: hands an event to the audit trail in the same script that made it happen.
--
-- Provides
--   outbox_tag(key)                                   the hash tag that a key begins with, '{sw:07}'
--   outbox_emit(tag, now, cap, sequenced, type, fields)
--       -> epoch, seq    the event's identity within its shard (seq 0 when not sequenced)
--       -> nil           the outbox was full; the event was counted as dropped
--                        (with a cap of 0 there is no trail, and nothing is counted)
--   outbox_dropped                                    events that this call dropped so far
--
-- Keys it touches, all in the tag's slot
--   TAG:outbox        stream, one entry an event, with one field: 'e', a JSON list
--                     of type, epoch, seq, at and \`fields\`, names and values in turn
--   TAG:outbox:head   hash: epoch, seq, dropped (counters: no TTL)
--
-- Why an epoch: a flushed or emptied Redis starts counting at 1 again. The epoch
-- is the time at which this counter was born, so old and new numbers never meet.
--
-- Why a cap and no MAXLEN: trimming would lose the oldest events without a
-- trace. A full outbox refuses new ones instead and says how many.
--
-- Why one field: an entry of seventeen costs Redis and the reader five times as
-- much. Nobody looks at a part of an event before it is a row.
--
-- Unsequenced events repeat what a later one says anew (running totals), so a
-- lost one is no gap in the trail.

local outbox_dropped = 0

local function outbox_tag(key)
  return string.match(key, '^{[^}]*}')
end

-- Numbers become text as redis.call would make them; cjson's own have 14 digits.
local function outbox_pack(event, fields)
  for index = 1, #fields do
    event[#event + 1] = fields[index]
  end
  for index = 1, #event do
    local value = event[index]
    event[index] = type(value) == 'number' and string.format('%.17g', value) or tostring(value)
  end
  return cjson.encode(event)
end

local function outbox_emit(tag, now, cap, sequenced, type, fields)
  if cap == 0 then return nil end
  local stream, head = tag .. ':outbox', tag .. ':outbox:head'
  if redis.call('XLEN', stream) >= cap then
    redis.call('HINCRBY', head, 'dropped', 1)
    outbox_dropped = outbox_dropped + 1
    return nil
  end
  local epoch = redis.call('HGET', head, 'epoch')
  if not epoch then
    epoch = string.format('%.0f', now)
    redis.call('HSET', head, 'epoch', epoch)
  end
  local seq = 0
  if sequenced then
    seq = redis.call('HINCRBY', head, 'seq', 1)
  end
  redis.call('XADD', stream, '*', 'e', outbox_pack({ 'type', type, 'epoch', epoch, 'seq', seq, 'at', now }, fields))
  return epoch, seq
end
`;

const change = `-- change.lua: records a change that was made by hand.
-- Needs outbox.lua in front of it.
--
-- Provides
--   change_emit(tag, now, cap, change)
--       change: actor, note, action, kind, object, before, after. All are text;
--       before and after are JSON, '' where there was or is nothing.
--
-- The event is sequenced, so that a lost one is found as a gap. It may stand
-- CHANGE_RESERVE entries above the cap: a full outbox is when people act by
-- hand, and what they do is seldom. A cap of 0 writes nothing at all.

local CHANGE_RESERVE = 1000

local function change_emit(tag, now, cap, change)
  outbox_emit(tag, now, cap > 0 and cap + CHANGE_RESERVE or 0, true, 'change', {
    'actor', change.actor, 'note', change.note, 'action', change.action, 'kind', change.kind,
    'object', change.object, 'before', change.before, 'after', change.after,
  })
end
`;

const blockRecord = `-- block-record.lua: what is known of a running block, and its trail.
-- Needs clock.lua and outbox.lua in front of it.
--
-- Provides
--   block_key(window_key)       the key of the window's block record
--   block_save(window_key, at, blocked_until, outbox_cap, facts)
--                               opens a record and emits its first event
--   block_emit(window_key, record_key, at, outbox_cap)
--                               emits a later event of an open record
--   BLOCK_FOREVER               blocked-until of a block without an end
--
-- A record is a hash that lives a minute longer than its block, so that the
-- last counts still find it. Every event is a snapshot of the whole record with
-- running totals: whoever reads two of one block keeps the later one, in
-- whichever order they come. The first event is sequenced and gives the block
-- its identity (id_epoch, id_seq, id_at); the later ones are not.
--
-- When the outbox is full the block still begins; it has no identity then, the
-- drop has been counted, and it leaves no later events either.

local BLOCK_FOREVER = 281474976710655
local RECORD_GRACE_MS = 60000
local FOREVER_TTL_MS = 315360000000

local function block_key(window_key)
  return (string.gsub(window_key, '}:w:', '}:b:', 1))
end

local function block_fields(record)
  return {
    'key', record.key, 'limit', record.limit, 'window', record.window, 'count', record.count,
    'denied', record.denied, 'start', record.start, 'last', record.last, 'until', record['until'],
    'mode', record.mode, 'id_epoch', record.id_epoch, 'id_seq', record.id_seq, 'id_at', record.id_at,
  }
end

local function block_ttl(blocked_until, at)
  if blocked_until == BLOCK_FOREVER then
    return FOREVER_TTL_MS
  end
  return blocked_until - at + RECORD_GRACE_MS
end

local function block_save(window_key, at, blocked_until, outbox_cap, facts)
  local record_key = block_key(window_key)
  local record = {
    key = window_key, limit = facts.limit, window = facts.window, count = facts.count, denied = facts.denied,
    start = facts.start, last = at, ['until'] = string.format('%.0f', blocked_until), mode = facts.mode,
    id_epoch = 0, id_seq = 0, id_at = at,
  }
  local epoch, seq = outbox_emit(outbox_tag(window_key), at, outbox_cap, true, 'block', block_fields(record))
  if not epoch then
    redis.call('DEL', record_key)
    return
  end
  record.id_epoch, record.id_seq = epoch, seq
  redis.call('HSET', record_key, unpack(block_fields(record)))
  redis.call('PEXPIRE', record_key, ttl_ms(block_ttl(blocked_until, at)))
end

local function block_emit(record_key, at, outbox_cap)
  local flat, record = redis.call('HGETALL', record_key), {}
  for index = 1, #flat, 2 do
    record[flat[index]] = flat[index + 1]
  end
  outbox_emit(outbox_tag(record_key), at, outbox_cap, false, 'block', block_fields(record))
end
`;

const now = `-- now.lua: the time of this call, asked once. Not a call of clock_ms(): making and calling a
-- function would cost the hot scripts as much as the sum itself.
--
-- Provides
--   now        milliseconds since 1970 by this Redis server, never by a client
--   spare_ms   to be added to each time to live

local time = redis.call('TIME')
local now = time[2] / 1000
now = time[1] * 1000 + now - now % 1
local spare_ms = 0
`;

const countersStart = `-- counters-start.lua: what the files of the folder lean/ are written with.
-- Needs now.lua in front of it.

local call, pack, unpack_at = redis.call, struct.pack, struct.unpack
local sub, rep, ceil, format = string.sub, string.rep, math.ceil, string.format
-- Longest time that a reply can say.
local LONGEST = 281474976710654
-- What the algorithm adds to a window's base: window.lua.
local TAG = 17592186044416
-- What another algorithm has counted is decide.lua's to take over.
local make_take_over
-- Whether each request says who holds its slot.
local has_holders = false
`;

const window = `-- window.lua: how every algorithm keeps what it knows of one subject.
-- Needs clock.lua and now.lua in front of it.
--
-- Provides
--   HEADER, FOREVER      length of a window's header; "for ever" among blocked-until times and in a reply's 6 bytes
--   TAG                  see below
--   window_save(key, tagged_base, blocked, body, ttl, shadow)
--
-- A window is one string: 6 bytes base time (ms) plus TAG times the number of its
-- algorithm, 6 bytes blocked-until (ms, 0 = not blocked), 6 bytes expiry (ms), then
-- a body that only its algorithm understands. A policy whose algorithm changes
-- keeps its keys, and with them its blocks: what another algorithm has counted is
-- taken over (take-over.lua).
--
-- TAG is 2^44 ms, 557 years: what reads a window of another algorithm as if it were
-- its own sees a time far in the future, which no common case is made for.
--
-- A block that began in shadow mode has 2^47 ms added to its end: it is there for
-- the trail, and does not refuse anybody once the policy enforces.

local HEADER = 18
local FOREVER = 281474976710655
local TAG = 17592186044416
local call, pack, unpack_at = redis.call, struct.pack, struct.unpack
local sub, rep, floor, ceil = string.sub, string.rep, math.floor, math.ceil
local max, min = math.max, math.min

local function window_save(key, tagged_base, blocked, body, ttl, shadow)
  if blocked - now > ttl then ttl = blocked - now end
  local header = pack('>I6I6I6', tagged_base, shadow and blocked + 140737488355328 or blocked, now + ttl)
  call('SET', key, header .. body, 'PX', ttl_ms(ttl))
end
`;

const blocks = `-- blocks.lua: the rare part of decide.lua, for when a block begins.
-- Needs clock.lua, outbox.lua and block-record.lua in front of it.
--
-- Returns block_save (block-record.lua), and dropped() -> events that this call dropped so far

return block_save, function() return outbox_dropped end
`;

const algorithmsSave = `-- save.lua: what the algorithms beside it write.
-- Needs window.lua in front of it.
--
-- Provides
--   save(w, tag, base, body, ttl)   writes a window; w is afterwards as if read back

-- A block stays.
local function save(w, tag, base, body, ttl)
  window_save(w.key, base + tag * TAG, w.blocked > w.at and w.blocked or 0, body, ttl, w.blocked > w.at and w.shadow)
  w.base, w.body = base, body
end
`;

const judging = `${clock}
${window}
local function make_blocks()
${outbox}
${blockRecord}
${blocks}
end
${algorithmsSave}`;

const algorithmsConcurrency = `-- concurrency.lua: slots that are held until they are released or their time is up.
-- Needs save.lua in front of it.
--
-- The limit is how many slots may be held at once, the window how long a slot
-- lasts without being renewed: a holder that dies loses its slots after that.
-- \`extra\` is the holder's id of 8 characters; one holder may have several slots.
--
-- Body: 14 bytes a slot, the first to end first: 6 bytes end of its time (ms), 8 bytes holder.

local SLOT = 14
local slots = { tag = 4 }

function slots.read(w, rule)
  w.at, w.capacity, w.slots, w.used, w.start = max(now, w.body == '' and now or w.base), rule.limit, {}, 0, now
  for from = 1, #w.body, SLOT do
    local ends = unpack_at('>I6', w.body, from)
    if ends > w.at then
      w.used = w.used + 1
      w.slots[w.used] = { ends = ends, holder = sub(w.body, from + 6, from + SLOT - 1) }
    end
  end
end

function slots.reset(w)
  return w.used > 0 and w.slots[w.used].ends - w.at or 0
end

-- At the latest: a release comes sooner.
function slots.retry(w, rule)
  return w.slots[w.used + rule.cost - rule.limit].ends - w.at
end

local function by_end(one, other)
  return one.ends < other.ends
end

-- In the order of their ends: a renewal, or another window, gets it out of order.
local function write_slots(w, rule, kept)
  local body, last = {}, w.at
  table.sort(kept, by_end)
  for place = 1, #kept do
    body[place] = pack('>I6', kept[place].ends) .. kept[place].holder
    last = max(last, kept[place].ends)
  end
  w.slots, w.used = kept, #kept
  save(w, slots.tag, w.at, table.concat(body), max(1, last - now))
end

function slots.add(w, rule)
  for _ = 1, rule.cost do
    w.used = w.used + 1
    w.slots[w.used] = { ends = w.at + rule.window, holder = rule.extra }
  end
  write_slots(w, rule, w.slots)
end

function slots.take(w, rule)
  local kept = {}
  for place = 1, #w.slots do
    if w.slots[place].holder ~= rule.extra then kept[#kept + 1] = w.slots[place] end
  end
  write_slots(w, rule, kept)
end

-- Gives the holder's slots their full time again. -> how many there still are
function slots.renew(w, rule)
  local found = 0
  for place = 1, #w.slots do
    if w.slots[place].holder == rule.extra then
      w.slots[place].ends, found = w.at + rule.window, found + 1
    end
  end
  write_slots(w, rule, w.slots)
  return found
end

return slots
`;

const judge = `-- judge.lua: judges, charges and answers one request by its algorithm.
-- Needs clock.lua, now.lua, window.lua, make_blocks(), which gives the functions of blocks.lua, make_take_over(), which
-- gives that of take-over.lua or is nil, and algorithms.lua in front of it.
--
-- Provides
--   judge(key, value, rule)        -> w (algorithms.lua) with its outcome, of what GET answered;
--                                  and true when that refuses a group
--   admit(w, rule)                 charges what fits -> 17 bytes of the reply
--   refuse(w, rule, outbox_cap)    -> 17 bytes of the reply; may begin a block
--   events_dropped()               -> events that this call dropped so far
--
-- Waits are counted from now and not from w.at, which is later after the clock
-- has stepped back: who waits as told is admitted.

local block_save, dropped, take_over

local function window_of(key, value)
  if not value then
    return { key = key, value = '', base = now, blocked = 0, expires = 0, body = '' }
  end
  local base, blocked, expires = unpack_at('>I6I6I6', value)
  local tag, shadow = floor(base / TAG), blocked >= 140737488355328 and blocked < FOREVER
  if shadow then blocked = blocked - 140737488355328 end
  return {
    key = key, value = value, base = base - tag * TAG, blocked = blocked, shadow = shadow, expires = expires,
    body = sub(value, HEADER + 1),
  }, tag
end

local function reply(outcome, remaining, reset, retry)
  if reset > FOREVER then reset = FOREVER end
  if retry > FOREVER then retry = FOREVER end
  return pack('>I1I4I6I6', outcome, max(0, remaining), max(0, reset), max(0, retry))
end

-- A window of another algorithm: kept as one of this unless the request only asks. -> false where that is not possible here
local function adapt(w, tag, rule)
  if not make_take_over then return false end
  take_over = take_over or make_take_over()
  w.base, w.body = take_over(w.value, tag, w.base, rule)
  if not w.base then
    w.base, w.body = now, ''
  elseif rule.mode ~= 2 then
    window_save(w.key, w.base + rule.algorithm.tag * TAG, w.blocked, w.body, 2 * rule.window, w.shadow)
    w.expires = now + 2 * rule.window
  end
  w.value = pack('>I6I6I6', w.base, 0, w.expires) .. w.body
  return true
end

local function judge(key, value, rule)
  -- 6 is a look at a policy that only watches.
  local mode, algorithm, w, tag = rule.mode, rule.algorithm, window_of(key, value)
  local watches = mode == 1 or mode == 6
  if mode == 6 then mode, rule.mode = 2, 2 end
  if tag and tag ~= algorithm.tag and w.body ~= '' and not adapt(w, tag, rule) then
    w.outcome = 6
    return w, true
  end
  algorithm.read(w, rule)
  w.capacity = w.capacity or rule.limit
  if w.changed and mode ~= 2 then
    window_save(key, w.base + algorithm.tag * TAG, w.blocked, w.body, w.at - now + algorithm.reset(w, rule), w.shadow)
    w.expires = now + rule.window
  end
  if w.shadow and not watches and mode < 3 then
    -- What was only watched refuses nobody when the policy enforces.
    w.blocked, w.shadow = 0, false
    if mode == 0 then call('SETRANGE', key, 6, '\\0\\0\\0\\0\\0\\0') end
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
    window_save(w.key, w.base + algorithm.tag * TAG, w.blocked, w.body, reset, rule.mode == 1)
    if not block_save then block_save, dropped = make_blocks() end
    block_save(w.key, w.at, w.blocked, outbox_cap, {
      limit = rule.limit, window = rule.window, count = w.used, denied = 1, mode = rule.mode, start = w.start,
    })
  end
  if outcome > 1 then
    -- The longer of block and window: a block may be shorter. In the place of the units that remain, which are none,
    -- stands how long the block lasts.
    if w.blocked == FOREVER then return reply(outcome, 4294967295, FOREVER, FOREVER) end
    local left = w.blocked - now
    return reply(outcome, min(left, 4294967294), max(left, reset), max(left, retry))
  end
  -- The window was made longer: what has been used must outlive the shorter one.
  if rule.mode < 2 and w.used > 0 and w.expires < now + reset then
    call('SETRANGE', w.key, 12, pack('>I6', now + reset))
    call('PEXPIRE', w.key, ttl_ms(reset))
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
    if rule.algorithm.whole then w = window_of(w.key, call('GET', w.key)) end
    rule.algorithm.read(w, rule)
    w.capacity = w.capacity or rule.limit
  end
  if found == 0 then return reply(1, w.capacity - w.used, 0, 0) end
  return reply(0, w.capacity - w.used, w.used > 0 and w.at - now + rule.algorithm.reset(w, rule) or 0, 0)
end

local function events_dropped()
  return dropped and dropped() or 0
end
`;

const decideOne = `-- decide-one.lua: decides one request by its algorithm, whatever its case.
-- Needs what judge.lua needs, judge.lua, and make_algorithm(), which gives the algorithm, in front of it.
-- The rare part of decide-counters.lua: inside a function that is called when first needed.
--
-- Returns decide(outbox_cap, key, value, limit, window, block, mode, cost, extra) -> 17 bytes of the reply,
--         and events_dropped (judge.lua)

local algorithm = make_algorithm()

local function decide(outbox_cap, key, value, limit, window, block, mode, cost, extra)
  local rule = {
    algorithm = algorithm, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra,
  }
  local w = judge(key, value, rule)
  if w.outcome == 0 then return admit(w, rule) end
  return refuse(w, rule, outbox_cap)
end

return decide, events_dropped
`;

const leanConcurrency = `-- lean/concurrency.lua: the common cases of algorithms/concurrency.lua, for decide-counters.lua.
--
-- Slots stand in the order of their ends: while the first has not ended, none
-- has. The time to live is set two windows ahead, so that one more slot mostly
-- is one short write.

has_holders = true

local NUMBER = 4 * TAG

local function lean(key, value, limit, window, block, cost, _, holder)
  if cost > 1 then return nil end
  local slot = pack('>I6', now + window) .. holder
  if not value then
    call('SET', key, pack('>I6I6I6', NUMBER + now, 0, now + 2 * window) .. slot, 'PX', format('%d', 2 * window + spare_ms))
    return pack('>I1I4I6I6', 0, limit - 1, window, 0)
  end
  local length = #value
  if length == 18 then return nil end
  local base, blocked, expires, first = unpack_at('>I6I6I6I6', value)
  base = base - NUMBER
  local last = unpack_at('>I6', value, length - 13)
  if blocked > 0 or base > now or base < 0 or first <= now or last > now + window then return nil end
  local used = (length - 18) / 14
  if used >= limit then
    return pack('>I1I4I6I6', 1, 0, last - now, unpack_at('>I6', value, 19 + 14 * (used - limit)) - now)
  end
  if expires >= now + window then
    call('APPEND', key, slot)
  else
    call('SET', key, pack('>I6I6I6', NUMBER + now, 0, now + 2 * window) .. sub(value, 19) .. slot, 'PX', format('%d', 2 * window + spare_ms))
  end
  return pack('>I1I4I6I6', 0, limit - used - 1, window, 0)
end
`;

const decideCounters = `-- decide-counters.lua: decides single requests under one of the algorithms that count.
-- Needs now.lua, counters-start.lua, the function rare(), which gives the function of decide-one.lua, and of the
-- folder lean/ one file in front of it.
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 1 whether to read each window by its own,
--        as one must where a key comes twice;
--        then runs, each describing the next \`count\` requests: 4 limit, 6 window (ms),
--        4 block (ms, 0 = none), 1 mode, 4 cost, 4 extra (buckets or burst), 4 count;
--        under \`concurrency\` 8 bytes a request follow: who holds its slot
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
`;

const algorithmsFixedWindow = `-- fixed-window.lua: a counter that starts anew a window after its first unit.
-- Needs save.lua in front of it.
--
-- Admits at most the limit in each window, and so at most twice the limit in a
-- trailing one. The window begins with its first unit and not at a round time,
-- so that subjects don't all begin at once.
--
-- Base: begin of the window. Body: 4 bytes units, 6 bytes time of the last (ms).

local fixed = { tag = 2 }

function fixed.read(w, rule)
  w.at = w.body == '' and now or max(now, w.base)
  if w.body == '' or w.at >= w.base + rule.window then
    w.start, w.used, w.last = w.at, 0, w.at
  else
    w.start = w.base
    w.used, w.last = unpack_at('>I4I6', w.body)
  end
end

function fixed.reset(w, rule)
  return w.start + rule.window - w.at
end

fixed.retry = fixed.reset

function fixed.add(w, rule)
  save(w, fixed.tag, w.start, pack('>I4I6', w.used + rule.cost, w.at), w.start + rule.window - now)
end

function fixed.take(w, rule)
  save(w, fixed.tag, w.start, pack('>I4I6', max(0, w.used - rule.cost), w.last), w.start + rule.window - now)
end

return fixed
`;

const leanFixedWindow = `-- lean/fixed-window.lua: the common cases of algorithms/fixed-window.lua, for decide-counters.lua.

local NUMBER = 2 * TAG

local function lean(key, value, limit, window, block, cost)
  if not value then
    call('SET', key, pack('>I6I6I6I4I6', NUMBER + now, 0, now + window, cost, now), 'PX', format('%d', window + spare_ms))
    return pack('>I1I4I6I6', 0, limit - cost, window, 0)
  end
  if #value ~= 28 then return nil end
  local base, blocked, expires, used = unpack_at('>I6I6I6I4', value)
  base = base - NUMBER
  local left = base + window - now
  if blocked > 0 or base > now or left <= 0 or expires < base + window then return nil end
  if used + cost <= limit then
    call('SETRANGE', key, '18', pack('>I4I6', used + cost, now))
    return pack('>I1I4I6I6', 0, limit - used - cost, left, 0)
  elseif block == 0 then
    return pack('>I1I4I6I6', 1, used < limit and limit - used or 0, left, left)
  end
  return nil
end
`;

const slidingLog = `-- sliding-log.lua: the exact sliding log.
-- Needs window.lua in front of it.
--
-- Provides
--   log_read(value, window)    -> base, blocked, expires, units, first, newest, at
--   log_first(key, window, added)             writes the first units of a window
--   log_admit(key, value, base, expires, units, first, at, limit, window, added)
--   log_cut(value, base, first, last, at)     -> base, the units from first to last
--   log_offset(value, index)   a unit's time, in ms after the base
--
-- The body holds 5 bytes for each admitted unit, its time less the base, oldest
-- first. A request of cost c at time t fits when at most limit - c units lie in
-- (t - window, t]; units at or before t - window have left. The sliding log is
-- the textbook exact limiter; ours is the packing.
--
-- What makes it fast is to write little: an admission appends its 5 bytes.
-- Two other things are done so seldom that they cost next to nothing:
--   * units that have left are cut off once they are half the limit, so that a
--     window holds at most one and a half times its limit;
--   * the time to live is set two windows ahead and moved on only when less
--     than one window is left of it, which the expiry in the header tells.
-- Rewriting the string at each admission is simpler and was twice as slow:
-- Lua hashes and keeps every string it makes.
--
-- A failover can step TIME back. A window's own newest unit is a lower bound of
-- its time: \`at\` never runs behind it.

local REBASE_AFTER = 549755813888

local function log_offset(value, index)
  return (unpack_at('>I5', value, HEADER + 1 + 5 * index))
end

-- Index of the first unit later than \`cutoff\`, where the oldest is not; units are
-- in order of time.
local function first_live(value, units, cutoff)
  local low, high = 1, units
  while low < high do
    local middle = floor((low + high) / 2)
    if log_offset(value, middle) > cutoff then high = middle else low = middle + 1 end
  end
  return low
end

-- Decoded in as few calls as can be: this is the hottest line of the product.
local function log_read(value, window)
  local length = #value
  if length == HEADER then
    local _, blocked, expires = unpack_at('>I6I6I6', value)
    return now, blocked, expires, 0, 0, now, now
  end
  local base, blocked, expires, oldest = unpack_at('>I6I6I6I5', value)
  -- TAG (window.lua): another algorithm's window.
  if base >= 17592186044416 then return base end
  local newest = base + unpack_at('>I5', value, length - 4)
  local units, first, at = (length - HEADER) / 5, 0, now
  if newest > now then at = newest end
  local cutoff = at - window - base
  if oldest <= cutoff then first = first_live(value, units, cutoff) end
  return base, blocked, expires, units, first, newest, at
end

local function log_first(key, window, added)
  window_save(key, now, 0, rep('\\0\\0\\0\\0\\0', added), 2 * window)
end

-- The units from \`first\` to \`last\` (indices, both included) on a base that their
-- offsets fit: offsets are 40 bits, 34 years, and a clock may step.
local function log_cut(value, base, first, last, at)
  if at - base < REBASE_AFTER then
    return base, sub(value, HEADER + 1 + 5 * first, HEADER + 5 + 5 * last)
  end
  local from = first <= last and log_offset(value, first) or at - base
  local offsets = {}
  for index = first, last do
    offsets[#offsets + 1] = pack('>I5', log_offset(value, index) - from)
  end
  return base + from, table.concat(offsets)
end

local function log_admit(key, value, base, expires, units, first, at, limit, window, added)
  -- A block leaves a header without units, whose base says nothing.
  if units == 0 then return log_first(key, window, added) end
  if first > 0 and first * 2 >= limit or at - base >= REBASE_AFTER then
    local new_base, log = log_cut(value, base, first, units - 1, at)
    return window_save(key, new_base, 0, log .. rep(pack('>I5', at - new_base), added), at - now + 2 * window)
  end
  local unit = pack('>I5', at - base)
  call('APPEND', key, added == 1 and unit or rep(unit, added))
  if expires < at + window then
    local ttl = at - now + 2 * window
    call('SETRANGE', key, 12, pack('>I6', now + ttl))
    call('PEXPIRE', key, ttl_ms(ttl))
  end
end
`;

const decideOneLog = `${clock}
${outbox}
${blockRecord}
${window}
${slidingLog}
-- decide-one-log.lua: decides one request by the exact sliding log, whatever its case.
-- Needs clock.lua, now.lua, outbox.lua, block-record.lua, window.lua and sliding-log.lua in front of it.
-- The rare part of decide-log.lua and decide-lone-log.lua: inside a function that is called when first needed.
--
-- Returns decide(outbox_cap, key, value, limit, window, block, mode, cost) -> 17 bytes of the reply,
--         and dropped() -> events that this call dropped so far
--
-- TAG, SHADOW and FOREVER (window.lua) stand here as numbers: Redis makes the function at each call, and each local
-- of another piece that it uses costs as much as a sum.
-- Waits are counted from now and not from \`at\`, which is later after the clock has
-- stepped back: who waits as told is admitted.

local function reply(outcome, remaining, reset, retry)
  return pack('>I1I4I6I6', outcome, remaining, reset, retry)
end

local function admit_first(key, limit, window, mode, cost)
  if mode == 2 then
    return reply(0, limit, 0, 0)
  end
  log_first(key, window, cost)
  return reply(0, limit - cost, window, 0)
end

local function decide(outbox_cap, key, value, limit, window, block, mode, cost)
  -- 6 is a look at a policy that only watches.
  local watches = mode == 1
  if mode == 6 then mode, watches = 2, true end
  if not value then
    return admit_first(key, limit, window, mode, cost)
  end
  local base, blocked, expires, units, first, newest, at = log_read(value, window)
  if base >= 17592186044416 then return reply(6, 0, 0, 0) end
  if blocked >= 140737488355328 and blocked < 281474976710655 then
    blocked = blocked - 140737488355328
    if not watches then
      -- What was only watched refuses nobody when the policy enforces.
      blocked = 0
      if mode == 0 then call('SETRANGE', key, 6, '\\0\\0\\0\\0\\0\\0') end
    end
  end

  local live = units - first
  local over = live + cost - limit
  if over <= 0 and blocked <= at then
    if mode == 2 then
      return reply(0, limit - live, live > 0 and newest + window - now or 0, 0)
    end
    log_admit(key, value, base, expires, units, first, at, limit, window, cost)
    return reply(0, limit - live - cost, at - now + window, 0)
  end

  local reset, retry, outcome = 0, 0, blocked > at and 3 or 1
  if live > 0 then reset = newest + window - now end
  -- The request fits once the oldest live + cost - limit units have left.
  if over > 0 then retry = base + log_offset(value, first + over - 1) + window - now end
  if outcome == 1 and block > 0 and mode ~= 2 then
    outcome, blocked = 2, at + block
    window_save(key, base, blocked, sub(value, HEADER + 1), reset, mode == 1)
    block_save(key, at, blocked, outbox_cap, {
      limit = limit, window = window, count = live, denied = 1, mode = mode,
      start = live > 0 and base + log_offset(value, first) or at,
    })
  end
  if outcome > 1 then
    -- The longer of block and window: a block may be shorter. In the place of the units that remain, which are none,
    -- stands how long the block lasts.
    local left, shown = blocked - now, blocked - now
    if blocked == 281474976710655 then
      left, shown = 281474976710655, 4294967295
    elseif shown > 4294967294 then
      shown = 4294967294
    end
    return reply(outcome, shown, left > reset and left or reset, left > retry and left or retry)
  end

  -- The window was made longer: its units must outlive the shorter one.
  if mode ~= 2 and expires < newest + window then
    call('SETRANGE', key, 12, pack('>I6', newest + window))
    call('PEXPIRE', key, ttl_ms(newest + window - now))
  end
  return reply(1, live < limit and limit - live or 0, reset, retry)
end

return decide, function() return outbox_dropped end
`;

const algorithmsSlidingWindow = `-- sliding-window.lua: a sliding window in sub-buckets, for limits too large for a log.
-- Needs save.lua in front of it.
--
-- The window is cut into \`extra\` buckets of equal width, counted from 1970 on, so
-- a trailing window touches at most one more. All buckets that the trailing
-- window touches count whole, the oldest too: never are more than the limit
-- admitted in any trailing window, at the price that units leave up to one
-- bucket's width late. (Weighing the oldest bucket instead, as is common, admits
-- up to twice the limit.)
--
-- Body: 6 bytes index of the newest bucket, 5 bytes width of a bucket (ms), 4 bytes
-- sum of the counts, then 4 bytes for each of the buckets' counts, newest first:
-- lean/sliding-window.lua adds a unit to the newest by one short write.
--
-- Where the window or the number of buckets has changed since, the units of a
-- bucket count as if they had come in its last moment.

local PREFIX = 15
local buckets = { tag = 1 }

-- Index of the bucket that holds now what bucket \`index\` of width \`width\` held.
local function moved(w, index, width)
  if width == w.width then return index end
  return floor(min((index + 1) * width - 1, w.at) / w.width)
end

local function body_of(w)
  return pack('>I6I5I4' .. rep('I4', #w.counts), w.newest, w.width, w.used, unpack(w.counts))
end

-- w.counts: newest first, as in the body.
function buckets.read(w, rule)
  local count = tonumber(rule.extra)
  w.width, w.at, w.used, w.counts = ceil(rule.window / count), now, 0, {}
  local kept, newest, width = {}, 0, 0
  if w.body ~= '' then
    kept = { unpack_at('>I6I5' .. rep('I4', (#w.body - PREFIX) / 4 + 1), w.body) }
    newest, width = kept[1], kept[2]
    w.at = max(now, newest * width)
  end
  w.newest, w.start = floor(w.at / w.width), w.at
  local oldest = floor((w.at - rule.window + 1) / w.width)
  for place = 1, count + 1 do
    w.counts[place] = 0
  end
  -- What unpack_at gave ends with the place behind what it read.
  for place = 1, #kept - 4 do
    local index, units = newest - place + 1, kept[3 + place]
    if units > 0 then
      index = moved(w, index, width)
      if index >= oldest then
        w.counts[w.newest - index + 1] = w.counts[w.newest - index + 1] + units
        w.used, w.start = w.used + units, index * w.width
      end
    end
  end
  -- Moved once and for all: a bucket of long ago would be moved to now again and again.
  if w.used > 0 and width ~= w.width then
    w.base, w.body, w.changed = w.at, body_of(w), true
  end
end

-- When the bucket at \`place\` of w.counts has left the trailing window.
local function leaves(w, rule, place)
  return (w.newest - place + 2) * w.width + rule.window - 1 - w.at
end

function buckets.reset(w, rule)
  for place = 1, #w.counts do
    if w.counts[place] > 0 then return leaves(w, rule, place) end
  end
  return 0
end

function buckets.retry(w, rule)
  local over = w.used + rule.cost - rule.limit
  for place = #w.counts, 1, -1 do
    over = over - w.counts[place]
    if over <= 0 then return leaves(w, rule, place) end
  end
  return rule.window
end

local function write(w, rule, used)
  w.used = used
  save(w, buckets.tag, w.at, body_of(w), w.at - now + rule.window + 2 * w.width)
end

function buckets.add(w, rule)
  w.counts[1] = w.counts[1] + rule.cost
  write(w, rule, w.used + rule.cost)
end

function buckets.take(w, rule)
  local left = rule.cost
  for place = #w.counts, 1, -1 do
    local units = left < w.counts[place] and left or w.counts[place]
    w.counts[place], left = w.counts[place] - units, left - units
  end
  write(w, rule, w.used - rule.cost + left)
end

return buckets
`;

const leanSlidingWindow = `-- lean/sliding-window.lua: the common cases of algorithms/sliding-window.lua, for decide-counters.lua.
--
-- A unit in the newest bucket raises its count and the sum, which stand side by
-- side. When a newer bucket begins, the others move by string and only those
-- that leave are read. The time to live is set then: it lasts until the bucket
-- that begins has left.

-- No helpers: making a Lua function costs more than what they would do.

local function lean(key, value, limit, window, block, cost, count)
  local width = window / count
  width = width + -width % 1
  local index = now / width
  index = index - index % 1
  local reset = (index + 1) * width + window - 1 - now
  if reset > LONGEST then return nil end

  local used, units, moved, leaving = 0, 0, count + 1, 0
  if value then
    if #value ~= 37 + 4 * count then return nil end
    local base, blocked, _, newest, kept_width
    base, blocked, _, newest, kept_width, used, units = unpack_at('>I6I6I6I6I5I4I4', value)
    moved = index - newest
    if blocked > 0 or base < TAG or kept_width ~= width or moved < 0 or moved > count then return nil end
    -- Late in a bucket the oldest of the count + 1 has left already.
    leaving = moved
    if now - window + 1 >= (index - count + 1) * width then leaving = moved + 1 end
    for place = count - leaving + 1, count do
      used = used - unpack_at('>I4', value, 34 + 4 * place)
    end
    if used + cost > limit then
      if block > 0 then return nil end
      -- \`full\` is the place of the newest bucket that isn't empty; the request fits once the buckets from the
      -- oldest to place \`free\` have left. In a flood both mostly are one.
      local full = (string.find(value, '[^%z]', 34) - 34) / 4
      full = full - full % 1
      local free, over = full, used + cost - limit
      if unpack_at('>I4', value, 34 + 4 * full) < used then
        free = count - leaving
        over = over - unpack_at('>I4', value, 34 + 4 * free)
        while over > 0 and free > full do
          free = free - 1
          over = over - unpack_at('>I4', value, 34 + 4 * free)
        end
      end
      local left = (newest + 1) * width + window - 1 - now
      return pack('>I1I4I6I6', 1, used < limit and limit - used or 0, left - full * width, left - free * width)
    end
    if moved == 0 and leaving > 0 then return nil end
  end

  if moved == 0 then
    call('SETRANGE', key, '29', pack('>I4I4', used + cost, units + cost))
  else
    local others = rep('\\0\\0\\0\\0', moved - 1)
    if value then
      others = others .. sub(value, 34, 37 + 4 * (count - leaving)) .. rep('\\0\\0\\0\\0', leaving - moved)
    end
    local ttl = window + 2 * width
    local header = pack('>I6I6I6I6I5I4I4', TAG + now, 0, now + ttl, index, width, used + cost, cost)
    call('SET', key, header .. others, 'PX', format('%d', ttl + spare_ms))
  end
  return pack('>I1I4I6I6', 0, limit - used - cost, reset, 0)
end
`;

const algorithmsTokenBucket = `-- token-bucket.lua: a bucket that holds \`extra\` tokens (the burst) and gets \`limit\` of them back in each window.
-- Needs save.lua in front of it.
--
-- Kept as the equivalent generic cell rate algorithm (GCRA, ITU-T I.371) in the
-- form of a leaky bucket: a level that each unit raises and time lowers. In any
-- stretch of time T at most burst + T * limit / window units are admitted.
--
-- The level is counted in units * window, so that it falls by \`limit\` in each ms
-- and all sums are whole numbers, exact in a double up to 2^53.
--
-- Base: time of the level. Body: 8 bytes level (double), 5 bytes window (ms) by
-- which it is scaled.

local bucket = { tag = 3 }

function bucket.read(w, rule)
  w.capacity = tonumber(rule.extra)
  w.at, w.level = now, 0
  if w.body ~= '' then
    local level, window = unpack_at('>dI5', w.body)
    w.at = max(now, w.base)
    if window ~= rule.window then level = ceil(level / window * rule.window) end
    w.level = max(0, level - (w.at - w.base) * rule.limit)
  end
  w.used = ceil(w.level / rule.window)
  w.start = w.at - ceil(w.level / rule.limit)
end

function bucket.reset(w, rule)
  return ceil(w.level / rule.limit)
end

function bucket.retry(w, rule)
  return ceil((w.level + (rule.cost - w.capacity) * rule.window) / rule.limit)
end

local function write_level(w, rule, level)
  w.level = level
  save(w, bucket.tag, w.at, pack('>dI5', level, rule.window), w.at - now + ceil(level / rule.limit) + 1)
end

function bucket.add(w, rule)
  write_level(w, rule, w.level + rule.cost * rule.window)
end

function bucket.take(w, rule)
  write_level(w, rule, max(0, w.level - rule.cost * rule.window))
end

return bucket
`;

const leanTokenBucket = `-- lean/token-bucket.lua: the common cases of algorithms/token-bucket.lua, for decide-counters.lua.
--
-- The time to live is set a window further ahead than the level needs, so that
-- it has to be moved on only once a window.

local NUMBER = 3 * TAG

local function lean(key, value, limit, window, block, cost, capacity)
  local level, expires = 0, 0
  if value then
    if #value ~= 31 then return nil end
    local base, blocked, kept_window
    base, blocked, expires, level, kept_window = unpack_at('>I6I6I6dI5', value)
    base = base - NUMBER
    if blocked > 0 or base > now or kept_window ~= window then return nil end
    level = level - (now - base) * limit
    if level < 0 then level = 0 end
  end
  local used = ceil(level / window)
  if used + cost > capacity then
    local reset = ceil(level / limit)
    if block > 0 or reset > LONGEST then return nil end
    return pack('>I1I4I6I6', 1, capacity > used and capacity - used or 0, reset,
      ceil((level + (cost - capacity) * window) / limit))
  end
  level = level + cost * window
  local reset = ceil(level / limit)
  if reset > LONGEST then return nil end
  if expires > now + reset then
    call('SETRANGE', key, '0', pack('>I6I6I6dI5', NUMBER + now, 0, expires, level, window))
  else
    local ttl = reset + window + 1
    call('SET', key, pack('>I6I6I6dI5', NUMBER + now, 0, now + ttl, level, window), 'PX', format('%d', ttl + spare_ms))
  end
  return pack('>I1I4I6I6', 0, capacity - ceil(level / window), reset, 0)
end
`;

const takeOver = `-- take-over.lua: a window of one algorithm becomes one of another, when a policy was changed.
-- Needs window.lua in front of it.
--
-- Returns take_over(value, tag, base, rule) -> base and body by the algorithm of rule; both nil when its period is not known
--
-- First the window is read as charges: a list of { time (ms), units }, oldest first.
-- What an algorithm does not know is taken for later than it was: units count
-- rather too long than not at all, and never longer than a window of the new policy
-- from the last unit on. Periods that are over, by the numbers of the new policy,
-- are not taken over. Slots are held, not used: nobody's usage.
-- Then the charges are written as the new algorithm would have kept them. The
-- result does not depend on when that is done, but for what has left by then.

local readers, writers = {}, {}

-- sliding-log
readers[0] = function(base, body)
  local list = {}
  for from = 1, #body, 5 do
    list[#list + 1] = { base + unpack_at('>I5', body, from), 1 }
  end
  return list
end

-- sliding-window: the units of a bucket as if they had come in its last moment.
readers[1] = function(_, body)
  local list = {}
  local newest, width = unpack_at('>I6I5', body)
  local last = max(now, newest * width)
  for from = #body - 3, 16, -4 do
    local units = unpack_at('>I4', body, from)
    if units > 0 then list[#list + 1] = { min((newest - (from - 16) / 4 + 1) * width - 1, last), units } end
  end
  return list
end

-- fixed-window: all as if they had come with the last of them.
readers[2] = function(base, body, rule)
  local units, last = unpack_at('>I4I6', body)
  if units == 0 or base + rule.window <= max(now, base) then return {} end
  return { { last, units } }
end

-- token-bucket: what the last unit left, at its time.
readers[3] = function(base, body)
  local level, window = unpack_at('>dI5', body)
  local units = ceil(level / window)
  return units > 0 and { { base, units } } or {}
end

readers[4] = function()
  return {}
end

-- quota: all as if they had come with the last of them.
readers[5] = function(base, body)
  local units, ends, last = unpack_at('>I4I6I6', body)
  if units == 0 or max(now, base) >= ends then return {} end
  return { { last, units } }
end

-- Of more than twice the limit the youngest: a log takes memory for each unit.
writers[0] = function(list, rule)
  local from, room = #list, 2 * rule.limit
  local cutoff = max(now, list[from][1]) - rule.window
  while from > 0 and room > 0 and list[from][1] > cutoff do
    list[from][2] = min(list[from][2], room)
    room, from = room - list[from][2], from - 1
  end
  if from == #list then return now, '' end
  local base, units = list[from + 1][1], {}
  for place = from + 1, #list do
    units[#units + 1] = rep(pack('>I5', list[place][1] - base), list[place][2])
  end
  return base, table.concat(units)
end

writers[1] = function(list, rule)
  local count = tonumber(rule.extra)
  local width, last, sum, counts = ceil(rule.window / count), max(now, list[#list][1]), 0, {}
  local newest, oldest = floor(last / width), floor((last - rule.window + 1) / width)
  for place = 1, count + 1 do
    counts[place] = 0
  end
  for place = 1, #list do
    local index = floor(list[place][1] / width)
    if index >= oldest then
      counts[newest - index + 1] = counts[newest - index + 1] + list[place][2]
      sum = sum + list[place][2]
    end
  end
  return last, pack('>I6I5I4' .. rep('I4', #counts), newest, width, sum, unpack(counts))
end

-- Nobody knows when a fixed window would have begun: it begins with the last unit, so that none is forgotten.
writers[2] = function(list, rule)
  local last, used = list[#list][1], 0
  for place = 1, #list do
    if list[place][1] > last - rule.window then used = used + list[place][2] end
  end
  return last, pack('>I4I6', used, last)
end

writers[3] = function(list, rule)
  local cutoff, at, level = list[#list][1] - rule.window, nil, 0
  for place = 1, #list do
    local time, units = list[place][1], list[place][2]
    if time > cutoff then
      level = max(0, level - (time - (at or time)) * rule.limit) + units * rule.window
      level, at = min(level, 2 * tonumber(rule.extra) * rule.window), time
    end
  end
  return at, pack('>dI5', level, rule.window)
end

writers[4] = function()
  return now, ''
end

writers[5] = function(list, rule)
  local last = list[#list][1]
  local start, ends = rule.algorithm.period_of(max(now, last), rule)
  if not start then return nil, nil end
  local used = 0
  for place = 1, #list do
    if list[place][1] >= start then used = used + list[place][2] end
  end
  if used == 0 then return now, '' end
  return start, pack('>I4I6I6', used, ends, last)
end

return function(value, tag, base, rule)
  local list = readers[tag](base, sub(value, HEADER + 1), rule)
  if #list == 0 then return now, '' end
  return writers[rule.algorithm.tag](list, rule)
end
`;

const algorithmsLog = `${slidingLog}
-- log.lua: the sliding log (sliding-log.lua) as one of the algorithms.
-- Needs save.lua and sliding-log.lua in front of it.

-- Reads w.value, the whole string in Redis.
local log = { whole = true, tag = 0 }

function log.read(w, rule)
  if w.body == '' then
    w.units, w.first, w.at, w.newest = 0, 0, now, now
  else
    local _
    _, _, _, w.units, w.first, w.newest, w.at = log_read(w.value, rule.window)
  end
  w.used = w.units - w.first
  w.start = w.used > 0 and w.base + log_offset(w.value, w.first) or w.at
end

function log.reset(w, rule)
  return w.newest + rule.window - w.at
end

function log.retry(w, rule)
  local last = w.first + w.used + rule.cost - rule.limit - 1
  return w.base + log_offset(w.value, last) + rule.window - w.at
end

function log.add(w, rule)
  if w.body == '' then
    save(w, log.tag, now, rep('\\0\\0\\0\\0\\0', rule.cost), 2 * rule.window)
  elseif w.blocked > w.at then
    local base, units = log_cut(w.value, w.base, w.first, w.units - 1, w.at)
    save(w, log.tag, base, units .. rep(pack('>I5', w.at - base), rule.cost), 2 * rule.window)
  else
    log_admit(w.key, w.value, w.base, w.expires, w.units, w.first, w.at, rule.limit, rule.window, rule.cost)
  end
end

function log.take(w, rule)
  local base, units = log_cut(w.value, w.base, w.first + min(rule.cost, w.used), w.units - 1, w.at)
  save(w, log.tag, base, units, 2 * rule.window)
end

return log
`;

const algorithmsQuota = `-- quota.lua: a counter for each day or month of a calendar.
-- Needs save.lua in front of it.
--
-- Calendars and time zones are the client's, the time is the server's: \`extra\`
-- holds the starts of a few periods around the client's idea of now, as texts
-- in ms separated by blanks, and the period that the server's time lies in is
-- taken. When there is none, w.stale is set: the client, which then knows the
-- server's time, asks again.
--
-- When the period is another than the one that was counted in, since the policy
-- was changed, its units count if the last of them came in the new one: rather
-- too many than too few, and never beyond the new period's end.
--
-- Base: begin of the period. Body: 4 bytes units, 6 bytes end of the period, 6 bytes
-- time of the last unit (ms).

local quota = { tag = 5 }

-- -> the period that \`at\` lies in, if it is among those given
function quota.period_of(at, rule)
  local from
  for text in string.gmatch(rule.extra, '%d+') do
    local start = tonumber(text)
    if from and from <= at and at < start then return from, start end
    from = start
  end
end

function quota.read(w, rule)
  w.at, w.used, w.last = now, 0, now
  local units, ends, last
  if w.body ~= '' then
    w.at = max(now, w.base)
    units, ends, last = unpack_at('>I4I6I6', w.body)
  end
  w.start, w.ends = quota.period_of(w.at, rule)
  if units and w.at < ends then
    if not w.start then w.start, w.ends = w.base, ends end
    if w.start == w.base and w.ends == ends then
      w.used, w.last = units, last
    elseif last >= w.start then
      w.used, w.last, w.base, w.changed = units, last, w.start, true
      w.body = pack('>I4I6I6', units, w.ends, last)
    end
  elseif not w.start then
    w.stale, w.start, w.ends = true, w.at, w.at
  end
end

function quota.reset(w)
  return w.ends - w.at
end

quota.retry = quota.reset

function quota.add(w, rule)
  save(w, quota.tag, w.start, pack('>I4I6I6', w.used + rule.cost, w.ends, w.at), max(1, w.ends - now))
end

function quota.take(w, rule)
  save(w, quota.tag, w.start, pack('>I4I6I6', max(0, w.used - rule.cost), w.ends, w.last), max(1, w.ends - now))
end

return quota
`;

const algorithmsAlgorithms = `-- algorithms.lua: what every algorithm offers to decide.lua.
-- Needs window.lua in front of it; the files beside it add their algorithm.
--
-- Each of those files returns a table:
--   tag              its number, in a window's base (window.lua)
--   read(w, rule)    sets w.at (never before what the window has seen), w.used (units
--                    that count now), w.start (time of the oldest of them) and, where
--                    it isn't the limit, w.capacity; w.changed when it read the body as another,
--                    w.body, that is to be kept
--   reset(w, rule)   ms from w.at until nothing counts any more
--   retry(w, rule)   ms from w.at until rule.cost more units fit, which now they don't
--   add(w, rule)     writes rule.cost more units
--   take(w, rule)    takes up to rule.cost units back: the oldest, where it knows which they are, so that
--                    none leaves the window before its time
--   renew(w, rule)   only of slots: gives them their full time again
-- w:    key, value, base, blocked, shadow, expires, body (of an absent window: now, 0, 0, '')
-- rule: algorithm (such a table), limit, window (ms), block (ms), mode, cost, extra (text)
--
-- They are made when a request first asks for them: make_log(), make_window() and so on.

local makers = {
  log = make_log, window = make_window, fixed = make_fixed, bucket = make_bucket, slots = make_slots, quota = make_quota,
}
local algorithms = {}

local function algorithm_of(name)
  local known = algorithms[name]
  if not known then
    known = makers[name]()
    algorithms[name] = known
  end
  return known
end
`;

export const block: LuaScript = {
  name: 'block',
  sha1: '60ba6694feb58d1aaf2f056709c983b7c594cf72',
  source: `${clock}
${outbox}
${change}
${blockRecord}
-- block.lua: blocks a subject by hand, lifts a block, or forgets a window with its block.
-- Needs clock.lua, outbox.lua, change.lua and block-record.lua in front of it.
--
-- KEYS   [1] the window key
-- ARGV   [1] outbox cap, [2] 'block', 'unblock' or 'reset', [3] the channel, [4] actor,
--        [5] note, [6] what the trail calls the window; to block also
--        [7] duration (ms, 0 = for ever), [8] limit, [9] window (ms)
-- Reply  to block: blocked until (ms, as text; 281474976710655 = for ever)
--        to unblock or reset: 1 when a block was lifted, 0 when there was none
-- Events type 'block': a new block, or the lifted one with its new end; then
--        type 'change' with the block before and after it.
--        PUBLISHes '<ARGV[2]> <key>' on the channel before it answers: whoever
--        keeps something of this window in memory lets go of it.

local key, cap, now = KEYS[1], tonumber(ARGV[1]), clock_ms()
local value = redis.call('GET', key)
-- TAG, SHADOW: window.lua. Of a sliding log, which has no tag, the units can be counted.
local TAG, SHADOW = 17592186044416, 140737488355328
local tagged_base, blocked = now, 0
if value then
  tagged_base, blocked = struct.unpack('>I6I6', value)
end
if blocked >= SHADOW and blocked < BLOCK_FOREVER then
  blocked = blocked - SHADOW
end
local body = value and string.sub(value, 19) or ''

-- pcall: a user without the right to the channel can block all the same.
redis.pcall('PUBLISH', ARGV[3], ARGV[2] .. ' ' .. key)

local function save(blocked_until, ttl)
  redis.call('SET', key, struct.pack('>I6I6I6', tagged_base, blocked_until, now + ttl) .. body, 'PX', ttl_ms(ttl))
end

-- The units that the window holds, by the number of its algorithm (lua/algorithms). Some may be over by now.
local function units()
  local algorithm = math.floor(tagged_base / TAG)
  if #body == 0 then return 0 end
  if algorithm == 0 then return #body / 5 end
  if algorithm == 1 then return (struct.unpack('>I4', body, 12)) end
  if algorithm == 3 then
    local level, window = struct.unpack('>dI5', body)
    return math.ceil(level / window)
  end
  return algorithm == 4 and #body / 14 or (struct.unpack('>I4', body))
end

local function told(blocked_until)
  local ends = string.format('%.0f', blocked_until)
  if blocked_until <= now then ends = 'null' elseif blocked_until == BLOCK_FOREVER then ends = '"forever"' end
  return string.format('{"blockedUntil":%s,"units":%.0f}', ends, units())
end

local function record_change(after)
  change_emit(outbox_tag(key), now, cap, {
    actor = ARGV[4], note = ARGV[5], action = ARGV[2], kind = 'block', object = ARGV[6],
    before = value and told(blocked) or '', after = after,
  })
end

if ARGV[2] == 'block' then
  local duration, limit, window = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
  local blocked_until = duration == 0 and BLOCK_FOREVER or now + duration
  local left = redis.call('PTTL', key)
  local ttl = duration == 0 and FOREVER_TTL_MS or duration
  save(blocked_until, left > ttl and left or ttl)
  block_save(key, now, blocked_until, cap, {
    limit = limit, window = window, count = tagged_base < TAG and #body / 5 or 0, denied = 0, mode = 0,
    start = tagged_base % TAG,
  })
  record_change(told(blocked_until))
  return string.format('%.0f', blocked_until)
end

local record_key = block_key(key)
if redis.call('EXISTS', record_key) == 1 then
  redis.call('HSET', record_key, 'until', now, 'last', now)
  block_emit(record_key, now, cap)
  redis.call('DEL', record_key)
end
record_change(value and ARGV[2] == 'unblock' and told(0) or '')
local lifted = blocked > now and 1 or 0
if ARGV[2] == 'reset' then
  redis.call('DEL', key)
  return lifted
end
if lifted == 0 then
  return 0
end
if #body == 0 then
  redis.call('DEL', key)
else
  save(0, redis.call('PTTL', key))
end
return 1
`,
};

export const countDenied: LuaScript = {
  name: 'count-denied',
  sha1: '02a5727eee4b47d291e4ae2d0fb74115b6fd8a7e',
  source: `${clock}
${outbox}
${blockRecord}
-- count-denied.lua: adds refusals to the records of running blocks.
-- Needs clock.lua, outbox.lua and block-record.lua in front of it.
--
-- KEYS   window keys, all of one shard when Redis is a Cluster
-- ARGV   [1] outbox cap, then for each key how many more requests were refused
-- Reply  how many records were still there
-- Events type 'block' for each of them, unsequenced, with the running total.

local cap, now, counted = tonumber(ARGV[1]), clock_ms(), 0
for index = 1, #KEYS do
  local record_key = block_key(KEYS[index])
  if redis.call('EXISTS', record_key) == 1 then
    redis.call('HINCRBY', record_key, 'denied', ARGV[index + 1])
    redis.call('HSET', record_key, 'last', now)
    block_emit(record_key, now, cap)
    counted = counted + 1
  end
end
return counted
`,
};

export const decideConcurrency: LuaScript = {
  name: 'decide-concurrency',
  sha1: 'd4e26a17b408716289673773f591d82587406e36',
  source: `${now}
${countersStart}
local function rare()
${judging}
local function make_algorithm()
${algorithmsConcurrency}
end
${judge}
${decideOne}
end
${leanConcurrency}
${decideCounters}`,
};

export const decideFixedWindow: LuaScript = {
  name: 'decide-fixed-window',
  sha1: '7cf78cef24ce58ca873757116ba4b6d8e3f78636',
  source: `${now}
${countersStart}
local function rare()
${judging}
local function make_algorithm()
${algorithmsFixedWindow}
end
${judge}
${decideOne}
end
${leanFixedWindow}
${decideCounters}`,
};

export const decideLog: LuaScript = {
  name: 'decide-log',
  sha1: '297e0fa7bcb413389116bd6cb28627aeeb6f8eed',
  source: `${now}
local function rare()
${decideOneLog}
end
-- decide-log.lua: decides a batch of requests by the exact sliding log. The hot path.
-- Needs now.lua and the function rare() in front of it, which gives the functions of
-- decide-one-log.lua.
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] the outbox cap (entries a shard), [2] 1 when a key comes twice, else 0,
--        then runs of seven, each describing the next \`count\` requests:
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
-- as the sums in it. All others go to \`decide\`, whose functions are only made
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
`,
};

export const decideLoneLog: LuaScript = {
  name: 'decide-lone-log',
  sha1: '0a20d94e128cf029af971832e3591041472d7069',
  source: `${now}
local function rare()
${decideOneLog}
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
`,
};

export const decideSlidingWindow: LuaScript = {
  name: 'decide-sliding-window',
  sha1: '1368d641eef04918c44be0593cfb9e711c6edc29',
  source: `${now}
${countersStart}
local function rare()
${judging}
local function make_algorithm()
${algorithmsSlidingWindow}
end
${judge}
${decideOne}
end
${leanSlidingWindow}
${decideCounters}`,
};

export const decideTokenBucket: LuaScript = {
  name: 'decide-token-bucket',
  sha1: '6d2deca67b59cc2eca7ae320c27e99a67da9305d',
  source: `${now}
${countersStart}
local function rare()
${judging}
local function make_algorithm()
${algorithmsTokenBucket}
end
${judge}
${decideOne}
end
${leanTokenBucket}
${decideCounters}`,
};

export const decide: LuaScript = {
  name: 'decide',
  sha1: '21f593ead0f6691468c3e506afd1cdc36a3c5a65',
  source: `${now}
${judging}
local function make_take_over()
${takeOver}
end
local function make_log()
${algorithmsLog}
end
local function make_window()
${algorithmsSlidingWindow}
end
local function make_fixed()
${algorithmsFixedWindow}
end
local function make_bucket()
${algorithmsTokenBucket}
end
local function make_slots()
${algorithmsConcurrency}
end
local function make_quota()
${algorithmsQuota}
end
${algorithmsAlgorithms}
${judge}
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
--        has no units to give, \`remaining\` is how many ms of the block are left.
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
`,
};

export const decisionCounts: LuaScript = {
  name: 'decision-counts',
  sha1: '0261dd4045330ed3372c4550b8482b7acdc15277',
  source: `${clock}
${outbox}
-- decision-counts.lua: records how many decisions fell how, for dashboards.
-- Needs clock.lua and outbox.lua in front of it.
--
-- KEYS   [1] any key of the shard whose outbox takes the counts
-- ARGV   [1] outbox cap, [2] over how many ms they were counted,
--        then a policy, an outcome and a count in turn
-- Reply  how many were recorded; for the others the outbox was full
-- Events type 'decisions' for each of them, sequenced: policy, outcome, count, over.

local cap, now, recorded = tonumber(ARGV[1]), clock_ms(), 0
for argument = 3, #ARGV, 3 do
  local fields = {
    'policy', ARGV[argument], 'outcome', ARGV[argument + 1], 'count', ARGV[argument + 2], 'over', ARGV[2],
  }
  if outbox_emit(outbox_tag(KEYS[1]), now, cap, true, 'decisions', fields) then
    recorded = recorded + 1
  end
end
return recorded
`,
};

export const giveBack: LuaScript = {
  name: 'give-back',
  sha1: '97385a2ca9dc3929f833196fa6fa2227c4d57fb5',
  source: `${clock}
-- give-back.lua: gives back units of a lease that nobody spent.
-- Needs clock.lua in front of it.
--
-- KEYS   [1] the window key
-- ARGV   [1] when they were charged (ms), [2] how many,
--        [3] 0 for a sliding log, else the width (ms) of a sliding window's buckets
-- Reply  how many were given back
-- Events none
--
-- Only units of that very time are taken out of a log, and of that very bucket out
-- of a window. The newest ones would be easier to find, but they are somebody
-- else's: what that one spent would count from a time before it was charged, and
-- leave the window too early. What can't be found (the window was reset, the clock
-- stepped back, the buckets have another width, the policy has another algorithm
-- now) stays as it is.

local HEADER = 18

local key, charged_at, wanted, width = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local value = redis.call('GET', key)
if not value then
  return 0
end
-- TAG: window.lua. 0 times of it is a sliding log, once a sliding window.
local TAG = 17592186044416
local tagged_base, blocked = struct.unpack('>I6I6', value)
local base = tagged_base % TAG
if tagged_base - base ~= (width == 0 and 0 or TAG) then
  return 0
end

-- -> the body without the units, and how many they are
local function out_of_log(body)
  local function offset_of(unit)
    return (struct.unpack('>I5', body, 5 * unit - 4))
  end
  local target, last = charged_at - base, #body / 5
  while last > 0 and offset_of(last) > target do
    last = last - 1
  end
  local before = last
  while before > 0 and last - before < wanted and offset_of(before) == target do
    before = before - 1
  end
  return string.sub(body, 1, 5 * before) .. string.sub(body, 5 * last + 1), last - before
end

local function out_of_bucket(body)
  if #body < 15 then
    return body, 0
  end
  local newest, kept_width, sum = struct.unpack('>I6I5I4', body)
  local from = 16 + 4 * (newest - math.floor(charged_at / width))
  if kept_width ~= width or from < 16 or from > #body then
    return body, 0
  end
  local units = struct.unpack('>I4', body, from)
  local taken = math.min(units, wanted)
  local start = struct.pack('>I6I5I4', newest, kept_width, sum - taken) .. string.sub(body, 16, from - 1)
  return start .. struct.pack('>I4', units - taken) .. string.sub(body, from + 4), taken
end

local body = string.sub(value, HEADER + 1)
local rest, taken
if width == 0 then
  rest, taken = out_of_log(body)
else
  rest, taken = out_of_bucket(body)
end
if taken == 0 then
  return 0
end
if rest == '' and blocked == 0 then
  redis.call('DEL', key)
else
  local ttl = math.max(1, redis.call('PTTL', key))
  redis.call('SET', key, string.sub(value, 1, HEADER) .. rest, 'PX', ttl_ms(ttl))
end
return taken
`,
};

export const liveEntries: LuaScript = {
  name: 'live-entries',
  sha1: '98a90e3f8429131ff92d0ec055286b92978ad686',
  source: `${clock}
${outbox}
${change}
-- live-entries.lua: reads the live entries, or writes one of them, records the
-- change in the trail and publishes it.
-- Needs clock.lua, outbox.lua and change.lua in front of it.
--
-- KEYS   [1] hash of live entries, [2] sorted set: the fields that end, by their
--        end (ms), [3] sorted set of the limiters that listen (live.lua)
-- ARGV   [1] 'read', 'set', 'block' or 'remove'; to read no more. Else
--        [2] most entries, [3] outbox cap, [4] channel, [5] how long after its
--        last beat a limiter counts as alive (ms), [6] id of the limiter that
--        asks, or '', [7] the entry's field, [8] to set: its value; to block: how
--        long (ms), 0 = until it is removed, [9] actor, [10] note, [11] action,
--        [12] kind of object, [13] object, [14] before, JSON, if there is no entry
-- Reply  to read: the time (ms), then fields and values in turn
--        else: 1 when the entry was there before, 0 when it was not, -1 when
--        there is no room for one more (nothing was written then); how many other
--        limiters listen; the entry's value
-- Events type 'change', unless an entry to remove was not there.
--        PUBLISHes the new version on the channel.
--
-- The version is a time, moved on by at least one: a Redis that was emptied does
-- not come to a version that somebody has seen before with other entries.
--
-- The hash and the ends are configuration and have no time to live; they are
-- capped instead, and each write removes entries that are over.

local PURGE = 1000

local key, ends, now = KEYS[1], KEYS[2], clock_ms()

if ARGV[1] == 'read' then
  local reply = redis.call('HGETALL', key)
  table.insert(reply, 1, now)
  return reply
end

local operation, cap, field, value = ARGV[1], tonumber(ARGV[2]), ARGV[7], ARGV[8]

local function listening()
  local from = string.format('(%.0f', now - tonumber(ARGV[5]))
  local others = redis.call('ZCOUNT', KEYS[3], from, '+inf')
  return redis.call('ZSCORE', KEYS[3], ARGV[6]) and others - 1 or others
end

local over = redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, PURGE)
if #over > 0 then
  redis.call('HDEL', key, unpack(over))
  redis.call('ZREM', ends, unpack(over))
end

local before = redis.call('HGET', key, field)
if operation == 'remove' then
  if not before then return { 0, listening(), '' } end
  value = ''
  redis.call('HDEL', key, field)
  redis.call('ZREM', ends, field)
else
  if not before and redis.call('HLEN', key) > cap then return { -1, 0, '' } end
  redis.call('ZREM', ends, field)
  if operation == 'block' then
    local duration = tonumber(value)
    value = '{"blockedUntil":"forever"}'
    if duration > 0 then
      redis.call('ZADD', ends, now + duration, field)
      value = string.format('{"blockedUntil":%.0f}', now + duration)
    end
  end
  redis.call('HSET', key, field, value)
end

-- A version that somebody wrote by hand may be anything.
local last = tonumber(redis.call('HGET', key, 'version') or '') or 0
local version = string.format('%.0f', math.max(last + 1, now))
redis.call('HSET', key, 'version', version)
change_emit(outbox_tag(key), now, tonumber(ARGV[3]), {
  actor = ARGV[9], note = ARGV[10], action = ARGV[11], kind = ARGV[12], object = ARGV[13],
  before = before or ARGV[14], after = value,
})
-- pcall: without the right to the channel the others find the version when they poll.
redis.pcall('PUBLISH', ARGV[4], version)
return { before and 1 or 0, listening(), value }
`,
};

export const nearLimit: LuaScript = {
  name: 'near-limit',
  sha1: 'a5ca4c892fa41076c1f2345860c2c7719f59a01b',
  source: `${clock}
${outbox}
${blockRecord}
-- near-limit.lua: records that subjects came near their limits.
-- Needs clock.lua and outbox.lua in front of it.
--
-- KEYS   window keys, all of one shard when Redis is a Cluster
-- ARGV   [1] outbox cap, then for each key the limit and the units left
-- Reply  how many were recorded; for the others the outbox was full
-- Events type 'near_limit' for each of them, sequenced: key, limit, remaining.
--
-- The windows themselves are not read: which decision crossed the threshold was
-- known when it fell, and this comes up to a second later.

local cap, now, recorded = tonumber(ARGV[1]), clock_ms(), 0
for index = 1, #KEYS do
  local fields = { 'key', KEYS[index], 'limit', ARGV[2 * index], 'remaining', ARGV[2 * index + 1] }
  if outbox_emit(outbox_tag(KEYS[index]), now, cap, true, 'near_limit', fields) then
    recorded = recorded + 1
  end
end
return recorded
`,
};
