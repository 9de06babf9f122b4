// Generated from the Lua files by `pnpm build:lua`: change those, not this file.
import type { LuaScript } from '@spillway/redis';

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

const window = `-- window.lua: how every algorithm keeps what it knows of one subject.
-- Needs clock.lua and now.lua in front of it.
--
-- Provides
--   HEADER, FOREVER      length of a window's header; "for ever" among blocked-until times and in a reply's 6 bytes
--   TAG, SHADOW          see below
--   window_save(key, tagged_base, blocked, body, ttl, shadow)    -> when it expires
--   save(w, rule, base, body, ttl)    the same for what an algorithm writes; w and rule: general.lua
--
-- A window is one string: 6 bytes base time (ms) plus TAG times the number of its
-- algorithm, 6 bytes blocked-until (ms, 0 = not blocked), 6 bytes expiry (ms), then
-- a body that only its algorithm understands. A policy whose algorithm changes
-- keeps its keys, and with them its blocks: what another algorithm has counted is
-- taken over (general.lua).
--
-- TAG is 2^44 ms, 557 years: what reads a window of another algorithm as if it were
-- its own sees a time far in the future, which no common case is made for.
--
-- A block that began in shadow mode has SHADOW, 2^47 ms, added to its end: it is there for
-- the trail, and refuses no request once the policy enforces.

local HEADER, SHADOW = 18, 140737488355328
local FOREVER = 281474976710655
local TAG = 17592186044416
local call, pack, unpack_at = redis.call, struct.pack, struct.unpack
local sub, rep, floor, ceil = string.sub, string.rep, math.floor, math.ceil
local max, min = math.max, math.min

local function window_save(key, tagged_base, blocked, body, ttl, shadow)
  if blocked - now > ttl then ttl = blocked - now end
  if ttl > FOREVER - now then ttl = FOREVER - now end
  local header = pack('>I6I6I6', tagged_base, shadow and blocked + SHADOW or blocked, now + ttl)
  call('SET', key, header .. body, 'PX', ttl_ms(ttl))
  return now + ttl
end

-- Writes a window; w is afterwards as if read back. A block that runs stays.
local function save(w, rule, base, body, ttl)
  local runs = w.blocked > w.at
  window_save(w.key, base + rule.number * TAG, runs and w.blocked or 0, body, ttl, runs and w.shadow)
  w.base, w.body = base, body
end
`;

const slidingLogGeneral = `local algorithm = { number = 0 }

local function offset_of(body, index)
  return (unpack_at('>I5', body, 1 + 5 * index))
end

-- Index of the first unit later than \`cutoff\`.
local function first_live(body, units, cutoff)
  local low, high = 0, units
  while low < high do
    local middle = floor((low + high) / 2)
    if offset_of(body, middle) > cutoff then high = middle else low = middle + 1 end
  end
  return low
end

function algorithm.read(w, rule)
  w.units, w.first, w.at, w.newest = #w.body / 5, 0, now, now
  if w.units > 0 then
    w.newest = w.base + offset_of(w.body, w.units - 1)
    w.at = max(now, w.newest)
    w.first = first_live(w.body, w.units, w.at - rule.window - w.base)
  end
  w.used = w.units - w.first
  w.start = w.used > 0 and w.base + offset_of(w.body, w.first) or w.at
end

function algorithm.reset(w, rule)
  return w.newest + rule.window - w.at
end

function algorithm.retry(w, rule)
  return w.base + offset_of(w.body, w.first + w.used + rule.cost - rule.limit - 1) + rule.window - w.at
end

-- Writes the units from index \`first\` on, and \`added\` more.
local function write(w, rule, first, added)
  local base, body = w.base, sub(w.body, 1 + 5 * first)
  if body == '' then
    base = w.at
  elseif w.at - base >= 549755813888 then
    local from, offsets = offset_of(body, 0), {}
    for index = 0, #body / 5 - 1 do
      offsets[index + 1] = pack('>I5', offset_of(body, index) - from)
    end
    base, body = base + from, table.concat(offsets)
  end
  save(w, rule, base, body .. rep(pack('>I5', w.at - base), added), w.at - now + 2 * rule.window)
end

function algorithm.add(w, rule)
  local cut = min(rule.limit / 2, 16 + floor(rule.limit / 16))
  local cuts = w.blocked > w.at or w.first >= cut or w.at - w.base >= 549755813888
  write(w, rule, cuts and w.first or 0, rule.cost)
end

function algorithm.take(w, rule)
  write(w, rule, w.first + min(rule.cost, w.used), 0)
end
`;

const outbox = `-- outbox.lua: hands an event to the audit trail in the same script that made it happen.
--
-- Provides
--   outbox_tag(key)                                   the hash tag that a key begins with, '{sw:07}'
--   outbox_emit(tag, now, cap, sequenced, kind, fields)
--       -> epoch, seq    the event's identity within its shard (seq 0 when not sequenced)
--       -> nil           the outbox was full; the event was counted as dropped
--                        (with a cap of 0 there is no trail, and nothing is counted)
--   outbox_dropped                                    events that this call dropped so far
--
-- Keys it touches, all in the tag's slot
--   TAG:outbox        stream, one entry an event, with one field: 'e', a JSON list
--                     of kind, epoch, seq, at and what \`fields\` says
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
-- \`fields\` is a list of names and values in turn, at least one of each. Of a type
-- that comes in masses it is text instead: JSON values with commas between, whose names
-- the reader knows (LAYOUTS in src/outbox.ts): names were half of a block's event.
--
-- Unsequenced events are repeated by a later one (running totals), so a
-- lost one is no gap in the trail.

local outbox_dropped = 0

local function outbox_tag(key)
  return string.match(key, '^{[^}]*}')
end

-- Numbers become text as redis.call would make them; cjson's own have 14 digits.
local function outbox_pack(fields)
  for index = 1, #fields do
    local value = fields[index]
    fields[index] = type(value) == 'number' and string.format('%.17g', value) or tostring(value)
  end
  return string.sub(cjson.encode(fields), 2, -2)
end

local function outbox_emit(tag, now, cap, sequenced, kind, fields)
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
  local rest = type(fields) == 'table' and outbox_pack(fields) or fields
  redis.call('XADD', stream, '*', 'e', string.format('["%s",%s,%.0f,%.0f,%s]', kind, epoch, seq, now, rest))
  return epoch, seq
end
`;

const blockRecord = `-- block-record.lua: what is known of a running block, and its trail.
-- Needs clock.lua and outbox.lua in front of it.
--
-- Provides
--   block_key(window_key)       the key of the window's block record
--   block_save(window_key, at, blocked_until, outbox_cap, facts)
--                               opens a record and emits its first event
--   block_emit(record_key, at, outbox_cap)
--                               emits a later event of an open record
--   BLOCK_FOREVER               blocked-until of a block without an end
--
-- A record is a hash that lives a minute longer than its block, so that the
-- last counts still find it. Every event is a snapshot of the whole record with
-- running totals: a reader of two of one block keeps the later one, in
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

-- The same for the outbox, without names: LAYOUTS in src/outbox.ts of @spillway/redis. Numbers in a record have 14 digits at
-- most, which a concatenation keeps.
local function block_values(record)
  return cjson.encode(record.key) .. ',' .. record.limit .. ',' .. record.window .. ',' .. record.count .. ','
    .. record.denied .. ',' .. record.start .. ',' .. record.last .. ',' .. record['until'] .. ','
    .. record.mode .. ',' .. record.id_epoch .. ',' .. record.id_seq .. ',' .. record.id_at
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
  local epoch, seq = outbox_emit(outbox_tag(window_key), at, outbox_cap, true, 'block', block_values(record))
  if not epoch then
    redis.call('DEL', record_key)
    return
  end
  record.id_epoch, record.id_seq = epoch, seq
  -- Anything else that lies there is replaced.
  if type(redis.pcall('HSET', record_key, unpack(block_fields(record)))) ~= 'number' then
    redis.call('DEL', record_key)
    redis.call('HSET', record_key, unpack(block_fields(record)))
  end
  redis.call('PEXPIRE', record_key, ttl_ms(block_ttl(blocked_until, at)))
end

local function block_emit(record_key, at, outbox_cap)
  local flat, record = redis.call('HGETALL', record_key), {}
  for index = 1, #flat, 2 do
    record[flat[index]] = flat[index + 1]
  end
  outbox_emit(outbox_tag(record_key), at, outbox_cap, false, 'block', block_values(record))
end
`;

const windowValue = `-- window-value.lua: what of a key is a window. Others can write there: a list, some text, a window that was cut off.
-- Needs \`now\` in front of it.
--
-- Provides
--   window_value(value)    what GET answered, when it is a window; else nil
--
-- What is no window counts as none, as after a DEL: the next request that is admitted begins a window in its place. To
-- answer by an error instead would leave the subject to the policy's onUnavailable for as long as the value stays, and with
-- it all whose requests share the batch.
--
-- The form of a window: window.lua. Text reads as times after the year 3084: an expiry so far ahead is no window's, but for
-- the one that stands for ever.

local function window_value(value)
  -- An error answer is a table, of length 0.
  if not value or #value < 18 then return nil end
  local base, _, expires = struct.unpack('>I6I6I6', value)
  local number, size = math.floor(base / 17592186044416), #value - 18
  if number > 5 or expires > now + 31557600000000 and expires < 281474976710655 then return nil end
  if size == 0 then return value end
  if number == 0 then return size % 5 == 0 and value or nil end
  if number == 1 then return size > 15 and size % 4 == 3 and value or nil end
  if number == 2 then return size == 10 and value or nil end
  if number == 3 then
    if size ~= 13 then return nil end
    local level, window = struct.unpack('>dI5', value, 19)
    -- No comparison holds for what is no number.
    return level >= 0 and level < 2 ^ 96 and window > 0 and value or nil
  end
  if number == 4 then return size % 14 == 0 and value or nil end
  return size == 16 and value or nil
end
`;

const general = `-- general.lua: decides any request by its algorithm: what the sections @check, @commit and @refuse leave open.
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
${outbox}
${blockRecord}
return block_save, function() return outbox_dropped end
end

${windowValue}

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
`;

const slidingLogCheck = `-- Times after the base, as they are kept: now, the oldest unit and the newest. \`first\`: how many units have left, if any.
-- \`cut\`: how many may have left before they are cut off.
local age, oldest, newest, base, blocked, expires, first, cut
local size = value and #value or 0
if size > 22 then
  base, blocked, expires, oldest = unpack_at('>I6I6I6I5', value)
  newest, age = unpack_at('>I5', value, size - 4), now - base
  if blocked == 0 and newest <= age then
    left = limit - (size - 18) / 5
    if oldest <= age - window then
      -- Half of 2^40 ms: the general way writes it on a new base. Until then a unit must have left: no window is that long.
      -- It begins a window, too, in the place of one that was cut off within a unit.
      if age >= 549755813888 or size % 5 ~= 3 then
        left = nil
      else
        -- Units are in order of time: the first that counts is the first that is later than this.
        local cutoff, high = age - window, (size - 18) / 5
        first, cut = 1, limit / 2
        if limit > 36 then
          cut = limit / 16
          cut = cut - cut % 1 + 16
          -- Mostly no more have left.
          if cut < high then
            if unpack_at('>I5', value, 19 + 5 * cut) > cutoff then high = cut else first = cut + 1 end
          end
        end
        while first < high do
          local middle = (first + high) / 2
          middle = middle - middle % 1
          if unpack_at('>I5', value, 19 + 5 * middle) > cutoff then high = middle else first = middle + 1 end
        end
        left = left + first
      end
    end
  end
elseif not value then
  left = limit
end
`;

const slidingLogCommit = `reset = window
if value then
  bytes = pack('>I5', age)
  if cost > 1 then bytes = string.rep(bytes, cost) end
  if first and first >= cut then
    ttl = text
    bytes = pack('>I6I6I6', base, 0, now + 2 * window) .. string.sub(value, 19 + 5 * first) .. bytes
  elseif expires < now + window then
    ttl = text
    bytes = pack('>I6I6I6', base, 0, now + 2 * window) .. string.sub(value, 19) .. bytes
  end
else
  if not fresh then
    fresh = pack('>I6I6I6I5', now, 0, now + 2 * window, 0)
    if cost > 1 then fresh = fresh .. string.rep('\\0\\0\\0\\0\\0', cost - 1) end
  end
  ttl, bytes = text, fresh
end
`;

const slidingLogRefuse = `reset, retry = 0, 0
if left < limit then reset = newest + window - age end
-- It fits once the oldest cost - left of the units that count have left.
if left < cost then
  retry = unpack_at('>I5', value, 14 + 5 * ((first or 0) + cost - left)) + window - age
  if expires < now + reset then
    -- The window was made longer: its units must outlive the shorter one.
    call('SETRANGE', key, '12', pack('>I6', now + reset))
    call('PEXPIRE', key, string.format('%d', reset + spare_ms))
  end
end
`;

const slidingWindowGeneral = `-- Where the window or the number of buckets has changed since, the units of a bucket count as if they had come in its
-- last moment.
local PREFIX = 15
local algorithm = { number = 1 }

-- Index of the bucket that holds now what bucket \`index\` of width \`width\` held.
local function moved(w, index, width)
  return floor(min((index + 1) * width - 1, w.at) / w.width)
end

local function body_of(w)
  return pack('>I6I5I4' .. rep('I4', #w.counts), w.newest, w.width, w.used, unpack(w.counts))
end

-- w.counts: newest first, as in the body.
function algorithm.read(w, rule)
  local count = rule.extra
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

function algorithm.reset(w, rule)
  for place = 1, #w.counts do
    if w.counts[place] > 0 then return leaves(w, rule, place) end
  end
  return 0
end

function algorithm.retry(w, rule)
  local over = w.used + rule.cost - rule.limit
  for place = #w.counts, 1, -1 do
    over = over - w.counts[place]
    if over <= 0 then return leaves(w, rule, place) end
  end
  return rule.window
end

local function write(w, rule, used)
  w.used = used
  save(w, rule, w.at, body_of(w), w.at - now + rule.window + 2 * w.width)
end

function algorithm.add(w, rule)
  w.counts[1] = w.counts[1] + rule.cost
  write(w, rule, w.used + rule.cost)
end

function algorithm.take(w, rule)
  local left = rule.cost
  for place = #w.counts, 1, -1 do
    local units = left < w.counts[place] and left or w.counts[place]
    w.counts[place], left = w.counts[place] - units, left - units
  end
  write(w, rule, w.used - rule.cost + left)
end
`;

const slidingWindowCheck = `-- No helpers: making a Lua function costs more than what they would do.
local width = window / extra
width = width + -width % 1
local index = now / width
index = index - index % 1
local used, units, moved, leaving, newest = 0, 0, extra + 1, 0, nil
if not value then
  left = limit
elseif #value == 37 + 4 * extra then
  local base, blocked, _, kept_width
  base, blocked, _, newest, kept_width, used, units = unpack_at('>I6I6I6I6I5I4I4', value)
  moved = index - newest
  if blocked == 0 and base >= 1 * 17592186044416 and base < (1 + 1) * 17592186044416 and kept_width == width then
    if moved > extra then
      value, used, units, moved, left = nil, 0, 0, extra + 1, limit
    elseif moved >= 0 then
      -- Late in a bucket the oldest of all has left already.
      leaving = moved
      if now - window + 1 >= (index - extra + 1) * width then leaving = moved + 1 end
      for place = extra - leaving + 1, extra do
        used = used - unpack_at('>I4', value, 34 + 4 * place)
      end
      if moved > 0 or leaving == 0 or used + cost > limit then left = limit - used end
    end
  end
end
`;

const slidingWindowCommit = `reset = (index + 1) * width + window - 1 - now
if moved == 0 then
  offset, bytes = '29', pack('>I4I4', used + cost, units + cost)
else
  local others = string.rep('\\0\\0\\0\\0', moved - 1)
  if value then
    others = others .. string.sub(value, 34, 37 + 4 * (extra - leaving)) .. string.rep('\\0\\0\\0\\0', leaving - moved)
  end
  ttl = text
  bytes = pack('>I6I6I6I6I5I4I4', 1 * 17592186044416 + now, 0, now + window + 2 * width, index, width, used + cost, cost)
    .. others
end
`;

const slidingWindowRefuse = `reset, retry = 0, 0
if used > 0 then
  -- \`full\` is the place of the newest bucket that isn't empty; the request fits once the buckets from the
  -- oldest to place \`free\` have left. In a flood both mostly are one.
  local full = (string.find(value, '[^%z]', 34) - 34) / 4
  full = full - full % 1
  local free, over = full, cost - left
  if unpack_at('>I4', value, 34 + 4 * full) < used then
    free = extra - leaving
    over = over - unpack_at('>I4', value, 34 + 4 * free)
    while over > 0 and free > full do
      free = free - 1
      over = over - unpack_at('>I4', value, 34 + 4 * free)
    end
  end
  local last = (newest + 1) * width + window - 1 - now
  reset, retry = last - full * width, last - free * width
end
`;

const fixedWindowGeneral = `local algorithm = { number = 2 }

function algorithm.read(w, rule)
  w.at = w.body == '' and now or max(now, w.base)
  if w.body == '' or w.at >= w.base + rule.window then
    w.start, w.used, w.last = w.at, 0, w.at
  else
    w.start = w.base
    w.used, w.last = unpack_at('>I4I6', w.body)
  end
end

function algorithm.reset(w, rule)
  return w.start + rule.window - w.at
end

algorithm.retry = algorithm.reset

function algorithm.add(w, rule)
  save(w, rule, w.start, pack('>I4I6', w.used + rule.cost, w.at), w.start + rule.window - now)
end

function algorithm.take(w, rule)
  save(w, rule, w.start, pack('>I4I6', max(0, w.used - rule.cost), w.last), w.start + rule.window - now)
end
`;

const fixedWindowCheck = `if not value then
  left = limit
elseif #value == 28 then
  local base, blocked, expires, used = unpack_at('>I6I6I6I4', value)
  base = base - 2 * 17592186044416
  if blocked == 0 and base <= now and base >= 0 then
    reset = base + window - now
    if reset <= 0 then
      value, left = nil, limit
    elseif expires >= base + window then
      left = limit - used
    end
  end
end
`;

const fixedWindowCommit = `if value then
  offset, bytes = '18', pack('>I4I6', limit - left + cost, now)
else
  fresh = fresh or pack('>I6I6I6I4I6', 2 * 17592186044416 + now, 0, now + window, cost, now)
  ttl, bytes, reset = text, fresh, window
end
`;

const fixedWindowRefuse = `if left == limit then reset = 0 end
retry = reset
`;

const tokenBucketGeneral = `local algorithm = { number = 3 }

function algorithm.read(w, rule)
  w.capacity = rule.extra
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

function algorithm.reset(w, rule)
  return ceil(w.level / rule.limit)
end

function algorithm.retry(w, rule)
  return ceil((w.level + (rule.cost - w.capacity) * rule.window) / rule.limit)
end

local function write_level(w, rule, level)
  w.level = level
  save(w, rule, w.at, pack('>dI5', level, rule.window), w.at - now + ceil(level / rule.limit) + 1)
end

function algorithm.add(w, rule)
  write_level(w, rule, w.level + rule.cost * rule.window)
end

function algorithm.take(w, rule)
  write_level(w, rule, max(0, w.level - rule.cost * rule.window))
end
`;

const tokenBucketCheck = `local ceil = math.ceil
local level, expires = 0, 0
if not value then
  left = extra
elseif #value == 31 then
  local base, blocked, kept_window
  base, blocked, expires, level, kept_window = unpack_at('>I6I6I6dI5', value)
  base = base - 3 * 17592186044416
  if blocked == 0 and base <= now and base >= 0 and kept_window == window then
    level = level - (now - base) * limit
    if level < 0 then level = 0 end
    -- What no reply can say is left to the general way.
    if level + cost * window < 281474976710655 * limit then left = extra - ceil(level / window) end
  end
end
`;

const tokenBucketCommit = `level = level + cost * window
reset = ceil(level / limit)
if expires > now + reset then
  offset, bytes = '0', pack('>I6I6I6dI5', 3 * 17592186044416 + now, 0, expires, level, window)
else
  ttl = string.format('%d', reset + window + 1 + spare_ms)
  bytes = pack('>I6I6I6dI5', 3 * 17592186044416 + now, 0, now + reset + window + 1, level, window)
end
`;

const tokenBucketRefuse = `reset = ceil(level / limit)
retry = ceil((level + (cost - extra) * window) / limit)
`;

const concurrencyGeneral = `local SLOT = 14
local algorithm = { number = 4 }

function algorithm.read(w, rule)
  w.at, w.capacity, w.slots, w.used, w.start = max(now, w.body == '' and now or w.base), rule.limit, {}, 0, now
  for from = 1, #w.body, SLOT do
    local ends = unpack_at('>I6', w.body, from)
    if ends > w.at then
      w.used = w.used + 1
      w.slots[w.used] = { ends = ends, holder = sub(w.body, from + 6, from + SLOT - 1) }
    end
  end
end

function algorithm.reset(w)
  return w.used > 0 and w.slots[w.used].ends - w.at or 0
end

-- At the latest: a release comes sooner.
function algorithm.retry(w, rule)
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
  save(w, rule, w.at, table.concat(body), max(1, last - now))
end

function algorithm.add(w, rule)
  for _ = 1, rule.cost do
    w.used = w.used + 1
    w.slots[w.used] = { ends = w.at + rule.window, holder = rule.text }
  end
  write_slots(w, rule, w.slots)
end

function algorithm.take(w, rule)
  local kept = {}
  for place = 1, #w.slots do
    if w.slots[place].holder ~= rule.text then kept[#kept + 1] = w.slots[place] end
  end
  write_slots(w, rule, kept)
end

-- Gives the holder's slots their full time again. -> how many there still are
function algorithm.renew(w, rule)
  local found = 0
  for place = 1, #w.slots do
    if w.slots[place].holder == rule.text then
      w.slots[place].ends, found = w.at + rule.window, found + 1
    end
  end
  write_slots(w, rule, w.slots)
  return found
end
`;

const concurrencyCheck = `local expires, last
if not value then
  left = limit
elseif #value > 31 then
  local base, blocked, first
  base, blocked, expires, first = unpack_at('>I6I6I6I6', value)
  base = base - 4 * 17592186044416
  last = unpack_at('>I6', value, #value - 13)
  if blocked == 0 and base <= now and base >= 0 and first > now and last <= now + window then
    left = limit - (#value - 18) / 14
  end
end
`;

const concurrencyCommit = `bytes = string.rep(pack('>I6', now + window) .. text, cost)
reset = window
if not value or expires < now + window then
  ttl = string.format('%d', 2 * window + spare_ms)
  bytes = pack('>I6I6I6', 4 * 17592186044416 + now, 0, now + 2 * window) .. string.sub(value or '', 19) .. bytes
end
`;

const concurrencyRefuse = `reset, retry = 0, 0
if value then
  reset = last - now
  if left < cost then retry = unpack_at('>I6', value, 19 + 14 * (cost - left - 1)) - now end
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

const slidingLogCharges = `function algorithm.charges(base, body)
  local list = {}
  for index = 0, #body / 5 - 1 do
    list[index + 1] = { base + offset_of(body, index), 1 }
  end
  return list
end

-- Of more than twice the limit the youngest: a log takes memory for each unit.
function algorithm.adopt(list, rule)
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
`;

const slidingWindowCharges = `-- The units of a bucket as if they had come in its last moment.
function algorithm.charges(_, body)
  local list = {}
  local newest, width = unpack_at('>I6I5', body)
  local last = max(now, newest * width)
  for from = #body - 3, 16, -4 do
    local units = unpack_at('>I4', body, from)
    if units > 0 then list[#list + 1] = { min((newest - (from - 16) / 4 + 1) * width - 1, last), units } end
  end
  return list
end

function algorithm.adopt(list, rule)
  local count = rule.extra
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
`;

const fixedWindowCharges = `-- All as if they had come with the last of them.
function algorithm.charges(base, body, rule)
  local units, last = unpack_at('>I4I6', body)
  if units == 0 or base + rule.window <= max(now, base) then return {} end
  return { { last, units } }
end

-- When a fixed window would have begun isn't known: it begins with the last unit, so that none is forgotten.
function algorithm.adopt(list, rule)
  local last, used = list[#list][1], 0
  for place = 1, #list do
    if list[place][1] > last - rule.window then used = used + list[place][2] end
  end
  return last, pack('>I4I6', used, last)
end
`;

const tokenBucketCharges = `-- What the last unit left, at its time.
function algorithm.charges(base, body)
  local level, window = unpack_at('>dI5', body)
  local units = ceil(level / window)
  return units > 0 and { { base, units } } or {}
end

function algorithm.adopt(list, rule)
  local cutoff, at, level = list[#list][1] - rule.window, nil, 0
  for place = 1, #list do
    local time, units = list[place][1], list[place][2]
    if time > cutoff then
      level = max(0, level - (time - (at or time)) * rule.limit) + units * rule.window
      level, at = min(level, 2 * rule.extra * rule.window), time
    end
  end
  return at, pack('>dI5', level, rule.window)
end
`;

const concurrencyCharges = `-- Slots are held, not used: they are not charged to another algorithm, and what another has counted holds none.
function algorithm.charges()
  return {}
end

function algorithm.adopt()
  return now, ''
end
`;

const quotaGeneral = `local algorithm = { number = 5 }

-- -> the period that \`at\` lies in, if it is among those given
local function period_of(at, rule)
  local from
  for start in string.gmatch(rule.text, '%d+') do
    start = tonumber(start)
    if from and from <= at and at < start then return from, start end
    from = start
  end
end

function algorithm.read(w, rule)
  w.at, w.used, w.last = now, 0, now
  local units, ends, last
  if w.body ~= '' then
    w.at = max(now, w.base)
    units, ends, last = unpack_at('>I4I6I6', w.body)
  end
  w.start, w.ends = period_of(w.at, rule)
  if not w.start then
    w.stale, w.start, w.ends = true, w.at, w.at
  elseif units and w.at < ends and last >= w.start then
    w.used, w.last = units, last
    if w.start ~= w.base or w.ends ~= ends then
      -- Counted in another period, before the policy was changed: too many rather than too few.
      w.base, w.body, w.changed = w.start, pack('>I4I6I6', units, w.ends, last), true
    end
  end
end

function algorithm.reset(w)
  return w.ends - w.at
end

algorithm.retry = algorithm.reset

function algorithm.add(w, rule)
  save(w, rule, w.start, pack('>I4I6I6', w.used + rule.cost, w.ends, w.at), max(1, w.ends - now))
end

function algorithm.take(w, rule)
  save(w, rule, w.start, pack('>I4I6I6', max(0, w.used - rule.cost), w.ends, w.last), max(1, w.ends - now))
end
`;

const quotaCharges = `-- All as if they had come with the last of them.
function algorithm.charges(base, body)
  local units, ends, last = unpack_at('>I4I6I6', body)
  if units == 0 or max(now, base) >= ends then return {} end
  return { { last, units } }
end

function algorithm.adopt(list, rule)
  local last = list[#list][1]
  local start, ends = period_of(max(now, last), rule)
  if not start then return nil, nil end
  local used = 0
  for place = 1, #list do
    if list[place][1] >= start then used = used + list[place][2] end
  end
  if used == 0 then return now, '' end
  return start, pack('>I4I6I6', used, ends, last)
end
`;

export const batchSlidingLog: LuaScript = {
  name: 'batch-sliding-log',
  sha1: '6bdeaad5f46bd9a06200e9249634a75e6dbfdf5e',
  source: `-- batch.lua: decides a batch of requests by one algorithm. The hot path.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 1 whether a key comes twice; then runs, each describing
--        the next \`count\` requests: 4 count, then the rule as in lone.lua
-- Reply  one string, big-endian: 6 bytes server time (ms), then 4 bytes a request: the units that remain, when it is
--        allowed and all is free again a window from now; else 0xFFFFFFFF. For each of those 17 bytes:
--        1 outcome, 4 remaining (units), 6 reset after (ms), 6 retry after (ms).
--        Outcomes: 0 allowed, 1 limited, 2 limited and blocked from now on, 3 was blocked, 4 fits but another of its group
--        does not, 5 the period is not among those given, 6 the window is another algorithm's (only of lone.lua and
--        batch.lua: group.lua takes it over). Behind a block, whose window has no units to give, \`remaining\` is how many
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
${now}
local function rare()
${clock}
${window}
local take_over
local function make_algorithm()
${slidingLogGeneral}
return algorithm
end
${general}
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
${slidingLogCheck}
      if not left then
        -- No common case.
      elseif left >= cost then
${slidingLogCommit}
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
${slidingLogRefuse}
        answer = pack('>I1I4I6I6', 1, left > 0 and left or 0, reset, retry)
      end
    end
    if answer then
      if answer == true then
        if not decide then decide, events_dropped = rare() end
        answer = decide(key, value, {
          number = 0, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra,
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
`,
};

export const batchSlidingWindow: LuaScript = {
  name: 'batch-sliding-window',
  sha1: '37c0f38d925254d646c3fbfc7db77f7ae80984ab',
  source: `-- batch.lua: decides a batch of requests by one algorithm. The hot path.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 1 whether a key comes twice; then runs, each describing
--        the next \`count\` requests: 4 count, then the rule as in lone.lua
-- Reply  one string, big-endian: 6 bytes server time (ms), then 4 bytes a request: the units that remain, when it is
--        allowed and all is free again a window from now; else 0xFFFFFFFF. For each of those 17 bytes:
--        1 outcome, 4 remaining (units), 6 reset after (ms), 6 retry after (ms).
--        Outcomes: 0 allowed, 1 limited, 2 limited and blocked from now on, 3 was blocked, 4 fits but another of its group
--        does not, 5 the period is not among those given, 6 the window is another algorithm's (only of lone.lua and
--        batch.lua: group.lua takes it over). Behind a block, whose window has no units to give, \`remaining\` is how many
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
${now}
local function rare()
${clock}
${window}
local take_over
local function make_algorithm()
${slidingWindowGeneral}
return algorithm
end
${general}
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
${slidingWindowCheck}
      if not left then
        -- No common case.
      elseif left >= cost then
${slidingWindowCommit}
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
${slidingWindowRefuse}
        answer = pack('>I1I4I6I6', 1, left > 0 and left or 0, reset, retry)
      end
    end
    if answer then
      if answer == true then
        if not decide then decide, events_dropped = rare() end
        answer = decide(key, value, {
          number = 1, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra,
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
`,
};

export const batchFixedWindow: LuaScript = {
  name: 'batch-fixed-window',
  sha1: '10e401c60fd9ccd9f0a709029c5c7d8a746eec4e',
  source: `-- batch.lua: decides a batch of requests by one algorithm. The hot path.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 1 whether a key comes twice; then runs, each describing
--        the next \`count\` requests: 4 count, then the rule as in lone.lua
-- Reply  one string, big-endian: 6 bytes server time (ms), then 4 bytes a request: the units that remain, when it is
--        allowed and all is free again a window from now; else 0xFFFFFFFF. For each of those 17 bytes:
--        1 outcome, 4 remaining (units), 6 reset after (ms), 6 retry after (ms).
--        Outcomes: 0 allowed, 1 limited, 2 limited and blocked from now on, 3 was blocked, 4 fits but another of its group
--        does not, 5 the period is not among those given, 6 the window is another algorithm's (only of lone.lua and
--        batch.lua: group.lua takes it over). Behind a block, whose window has no units to give, \`remaining\` is how many
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
${now}
local function rare()
${clock}
${window}
local take_over
local function make_algorithm()
${fixedWindowGeneral}
return algorithm
end
${general}
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
${fixedWindowCheck}
      if not left then
        -- No common case.
      elseif left >= cost then
${fixedWindowCommit}
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
${fixedWindowRefuse}
        answer = pack('>I1I4I6I6', 1, left > 0 and left or 0, reset, retry)
      end
    end
    if answer then
      if answer == true then
        if not decide then decide, events_dropped = rare() end
        answer = decide(key, value, {
          number = 2, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra,
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
`,
};

export const batchTokenBucket: LuaScript = {
  name: 'batch-token-bucket',
  sha1: '883e452648a40c978eb48f6fb82c136a964c9903',
  source: `-- batch.lua: decides a batch of requests by one algorithm. The hot path.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 1 whether a key comes twice; then runs, each describing
--        the next \`count\` requests: 4 count, then the rule as in lone.lua
-- Reply  one string, big-endian: 6 bytes server time (ms), then 4 bytes a request: the units that remain, when it is
--        allowed and all is free again a window from now; else 0xFFFFFFFF. For each of those 17 bytes:
--        1 outcome, 4 remaining (units), 6 reset after (ms), 6 retry after (ms).
--        Outcomes: 0 allowed, 1 limited, 2 limited and blocked from now on, 3 was blocked, 4 fits but another of its group
--        does not, 5 the period is not among those given, 6 the window is another algorithm's (only of lone.lua and
--        batch.lua: group.lua takes it over). Behind a block, whose window has no units to give, \`remaining\` is how many
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
${now}
local function rare()
${clock}
${window}
local take_over
local function make_algorithm()
${tokenBucketGeneral}
return algorithm
end
${general}
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
${tokenBucketCheck}
      if not left then
        -- No common case.
      elseif left >= cost then
${tokenBucketCommit}
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
${tokenBucketRefuse}
        answer = pack('>I1I4I6I6', 1, left > 0 and left or 0, reset, retry)
      end
    end
    if answer then
      if answer == true then
        if not decide then decide, events_dropped = rare() end
        answer = decide(key, value, {
          number = 3, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra,
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
`,
};

export const batchConcurrency: LuaScript = {
  name: 'batch-concurrency',
  sha1: '84d0019b37f17f1cadf9282105d8b9641d4ac911',
  source: `-- batch.lua: decides a batch of requests by one algorithm. The hot path.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   one window key a request, in the order of the requests
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 1 whether a key comes twice; then runs, each describing
--        the next \`count\` requests: 4 count, then the rule as in lone.lua
-- Reply  one string, big-endian: 6 bytes server time (ms), then 4 bytes a request: the units that remain, when it is
--        allowed and all is free again a window from now; else 0xFFFFFFFF. For each of those 17 bytes:
--        1 outcome, 4 remaining (units), 6 reset after (ms), 6 retry after (ms).
--        Outcomes: 0 allowed, 1 limited, 2 limited and blocked from now on, 3 was blocked, 4 fits but another of its group
--        does not, 5 the period is not among those given, 6 the window is another algorithm's (only of lone.lua and
--        batch.lua: group.lua takes it over). Behind a block, whose window has no units to give, \`remaining\` is how many
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
${now}
local function rare()
${clock}
${window}
local take_over
local function make_algorithm()
${concurrencyGeneral}
return algorithm
end
${general}
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
${concurrencyCheck}
      if not left then
        -- No common case.
      elseif left >= cost then
${concurrencyCommit}
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
${concurrencyRefuse}
        answer = pack('>I1I4I6I6', 1, left > 0 and left or 0, reset, retry)
      end
    end
    if answer then
      if answer == true then
        if not decide then decide, events_dropped = rare() end
        answer = decide(key, value, {
          number = 4, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra,
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
`,
};

export const block: LuaScript = {
  name: 'block',
  sha1: '350a520d8bd3ba4b4b4f1000fde0f3fb6dacd745',
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
--        PUBLISHes '<ARGV[2]> <key>' on the channel before it answers: processes
--        that cache something of this window drop it.

local key, cap, now = KEYS[1], tonumber(ARGV[1]), clock_ms()
${windowValue}
local held = redis.pcall('GET', key)
local value = window_value(held)
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
  ttl = math.min(ttl, FOREVER_TTL_MS)
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
  return string.format('{"blockedUntilMs":%s,"units":%.0f}', ends, units())
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
  if type(redis.pcall('HSET', record_key, 'until', now, 'last', now)) == 'number' then block_emit(record_key, now, cap) end
  redis.call('DEL', record_key)
end
record_change(value and ARGV[2] == 'unblock' and told(0) or '')
local lifted = blocked > now and 1 or 0
if ARGV[2] == 'reset' then
  redis.call('DEL', key)
  return lifted
end
if lifted == 0 then
  -- What is no window goes: without a window nobody is blocked.
  if held and not value then redis.call('DEL', key) end
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
  sha1: '56434ecb51b525ddfba26587816241f1ff0c76b3',
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
  -- A key of another type is no record: its block goes on without later events.
  if redis.call('EXISTS', record_key) == 1 and type(redis.pcall('HINCRBY', record_key, 'denied', ARGV[index + 1])) == 'number' then
    redis.call('HSET', record_key, 'last', now)
    block_emit(record_key, now, cap)
    counted = counted + 1
  end
end
return counted
`,
};

export const decisionCounts: LuaScript = {
  name: 'decision-counts',
  sha1: 'a4d0e3af9ec5e768658663a5e230c20f003b7b9c',
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
  sha1: 'b65e18b3551797b87e60266fa31b1c0cc8758ef8',
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
local now = clock_ms()
${windowValue}
local value = window_value(redis.pcall('GET', key))
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

export const group: LuaScript = {
  name: 'group',
  sha1: 'fdae2c1d0dee3f6b00c9e8bb5c949c635c4d6062',
  source: `-- group.lua: decides groups of requests, each request by an algorithm of its own: all of a group are charged, or none.
-- A shell with the sections of all algorithms (src/algorithms/README.md).
--
-- KEYS   one window key a request, in the order of the requests; within a group all are different
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), 1 whether a key comes twice; then runs, each describing
--        the next \`groups\` groups: 4 groups, 1 requests in each, then for each of these 1 number of the algorithm and the
--        rule as in lone.lua
--        mode: as in lone.lua, and 3 charge (whether it fits or not), 4 give back, 5 renew (slots)
-- Reply  as batch.lua answers
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- First all requests of a group are checked, then either all that fit are charged or none. What a shadow policy refuses does
-- not refuse the group. Requests that are common cases of their algorithm are checked and charged by its sections, the
-- others of the group by general.lua.
${now}
local function rare()
${clock}
${window}
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
if number == 0 then
${slidingLogGeneral}
${slidingLogCharges}
return algorithm

elseif number == 1 then
${slidingWindowGeneral}
${slidingWindowCharges}
return algorithm

elseif number == 2 then
${fixedWindowGeneral}
${fixedWindowCharges}
return algorithm

elseif number == 3 then
${tokenBucketGeneral}
${tokenBucketCharges}
return algorithm

elseif number == 4 then
${concurrencyGeneral}
${concurrencyCharges}
return algorithm

elseif number == 5 then
${quotaGeneral}
${quotaCharges}
return algorithm

end
end
${general}
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
if number == 0 then
${slidingLogCheck}
          if left and left >= cost then
${slidingLogCommit}
          end

elseif number == 1 then
${slidingWindowCheck}
          if left and left >= cost then
${slidingWindowCommit}
          end

elseif number == 2 then
${fixedWindowCheck}
          if left and left >= cost then
${fixedWindowCommit}
          end

elseif number == 3 then
${tokenBucketCheck}
          if left and left >= cost then
${tokenBucketCommit}
          end

elseif number == 4 then
${concurrencyCheck}
          if left and left >= cost then
${concurrencyCommit}
          end

end
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
if number == 0 then
${slidingLogCheck}
${slidingLogRefuse}
elseif number == 1 then
${slidingWindowCheck}
${slidingWindowRefuse}
elseif number == 2 then
${fixedWindowCheck}
${fixedWindowRefuse}
elseif number == 3 then
${tokenBucketCheck}
${tokenBucketRefuse}
elseif number == 4 then
${concurrencyCheck}
${concurrencyRefuse}
end
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
`,
};

export const liveEntries: LuaScript = {
  name: 'live-entries',
  sha1: '770e57aa90a379199713019060ab25c94cdae530',
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
--        [12] kind of object, [13] object, [14] before, JSON, if there is no entry,
--        [15] what must be stored now: '' = anything, '-' = nothing, else '=' and
--        the entry's value
-- Reply  to read: the time (ms), then fields and values in turn
--        else: 1 when the entry was there before, 0 when it was not, -1 when
--        there is no room for one more, -2 when something else than [15] is stored
--        (nothing was written then); how many other limiters listen; the entry's value
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
local expected = ARGV[15]
if expected ~= '' and expected ~= (before and '=' .. before or '-') then return { -2, 0, '' } end
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
    value = '{"blockedUntilMs":"forever"}'
    if duration > 0 then
      redis.call('ZADD', ends, now + duration, field)
      value = string.format('{"blockedUntilMs":%.0f}', now + duration)
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

export const loneSlidingLog: LuaScript = {
  name: 'lone-sliding-log',
  sha1: '7b437de6f5fd569b1ad941e650f13b1e1945de2b',
  source: `-- lone.lua: decides one request by one algorithm. The hot path when nothing else is under way.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   [1] the window key
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), then the rule: 4 limit, 6 window (ms), 4 block (ms,
--        0 = none), 1 mode, 4 cost, 4 extra (buckets or burst), 1 length and that many bytes of text (the time to live of a
--        new window in ms; under \`concurrency\` the holder; of a quota the starts of periods)
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 6 peek under a policy in shadow mode
-- Reply  an integer for the commonest answer, allowed and all free again a window from now: remaining × 2^41 + server time
--        (ms). Else the string that batch.lua answers.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- Each argument and each reply that is a string costs Redis as much as the decision's own sums: hence one packed argument,
-- a time to live that is text, and an integer where the answer fits into 53 bits.
${now}
local function rare()
${clock}
${window}
local take_over
local function make_algorithm()
${slidingLogGeneral}
return algorithm
end
${general}
return decide, events_dropped
end

local pack, unpack_at, call, key = struct.pack, struct.unpack, redis.call, KEYS[1]
-- An error answer, of a key of another type, is a table: no common case, and no window for general.lua.
local value = redis.pcall('GET', key)
local outbox_cap, limit, window, block, mode, cost, extra, text = unpack_at('>I4I4I6I4I1I4I4I1c0', ARGV[1])
local left, reset, retry, bytes, ttl, offset, fresh
if mode < 2 then
${slidingLogCheck}
  if not left then
    -- No common case.
  elseif left >= cost then
${slidingLogCommit}
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
${slidingLogRefuse}
    return pack('>I6I4I1I4I6I6', now, 4294967295, 1, left > 0 and left or 0, reset, retry)
  end
end
local decide, events_dropped = rare()
local answer = pack('>I6I4', now, 4294967295) .. decide(key, value, {
  number = 0, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra, text = text,
}, outbox_cap)
if events_dropped() > 0 then answer = answer .. pack('>I4', events_dropped()) end
return answer
`,
};

export const loneSlidingWindow: LuaScript = {
  name: 'lone-sliding-window',
  sha1: 'e144c2482be19afd8c66fcff9ef1a8daa0f8e49b',
  source: `-- lone.lua: decides one request by one algorithm. The hot path when nothing else is under way.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   [1] the window key
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), then the rule: 4 limit, 6 window (ms), 4 block (ms,
--        0 = none), 1 mode, 4 cost, 4 extra (buckets or burst), 1 length and that many bytes of text (the time to live of a
--        new window in ms; under \`concurrency\` the holder; of a quota the starts of periods)
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 6 peek under a policy in shadow mode
-- Reply  an integer for the commonest answer, allowed and all free again a window from now: remaining × 2^41 + server time
--        (ms). Else the string that batch.lua answers.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- Each argument and each reply that is a string costs Redis as much as the decision's own sums: hence one packed argument,
-- a time to live that is text, and an integer where the answer fits into 53 bits.
${now}
local function rare()
${clock}
${window}
local take_over
local function make_algorithm()
${slidingWindowGeneral}
return algorithm
end
${general}
return decide, events_dropped
end

local pack, unpack_at, call, key = struct.pack, struct.unpack, redis.call, KEYS[1]
-- An error answer, of a key of another type, is a table: no common case, and no window for general.lua.
local value = redis.pcall('GET', key)
local outbox_cap, limit, window, block, mode, cost, extra, text = unpack_at('>I4I4I6I4I1I4I4I1c0', ARGV[1])
local left, reset, retry, bytes, ttl, offset, fresh
if mode < 2 then
${slidingWindowCheck}
  if not left then
    -- No common case.
  elseif left >= cost then
${slidingWindowCommit}
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
${slidingWindowRefuse}
    return pack('>I6I4I1I4I6I6', now, 4294967295, 1, left > 0 and left or 0, reset, retry)
  end
end
local decide, events_dropped = rare()
local answer = pack('>I6I4', now, 4294967295) .. decide(key, value, {
  number = 1, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra, text = text,
}, outbox_cap)
if events_dropped() > 0 then answer = answer .. pack('>I4', events_dropped()) end
return answer
`,
};

export const loneFixedWindow: LuaScript = {
  name: 'lone-fixed-window',
  sha1: '003b244ee3530cb7948dd93fccff2f7aae97be35',
  source: `-- lone.lua: decides one request by one algorithm. The hot path when nothing else is under way.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   [1] the window key
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), then the rule: 4 limit, 6 window (ms), 4 block (ms,
--        0 = none), 1 mode, 4 cost, 4 extra (buckets or burst), 1 length and that many bytes of text (the time to live of a
--        new window in ms; under \`concurrency\` the holder; of a quota the starts of periods)
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 6 peek under a policy in shadow mode
-- Reply  an integer for the commonest answer, allowed and all free again a window from now: remaining × 2^41 + server time
--        (ms). Else the string that batch.lua answers.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- Each argument and each reply that is a string costs Redis as much as the decision's own sums: hence one packed argument,
-- a time to live that is text, and an integer where the answer fits into 53 bits.
${now}
local function rare()
${clock}
${window}
local take_over
local function make_algorithm()
${fixedWindowGeneral}
return algorithm
end
${general}
return decide, events_dropped
end

local pack, unpack_at, call, key = struct.pack, struct.unpack, redis.call, KEYS[1]
-- An error answer, of a key of another type, is a table: no common case, and no window for general.lua.
local value = redis.pcall('GET', key)
local outbox_cap, limit, window, block, mode, cost, extra, text = unpack_at('>I4I4I6I4I1I4I4I1c0', ARGV[1])
local left, reset, retry, bytes, ttl, offset, fresh
if mode < 2 then
${fixedWindowCheck}
  if not left then
    -- No common case.
  elseif left >= cost then
${fixedWindowCommit}
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
${fixedWindowRefuse}
    return pack('>I6I4I1I4I6I6', now, 4294967295, 1, left > 0 and left or 0, reset, retry)
  end
end
local decide, events_dropped = rare()
local answer = pack('>I6I4', now, 4294967295) .. decide(key, value, {
  number = 2, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra, text = text,
}, outbox_cap)
if events_dropped() > 0 then answer = answer .. pack('>I4', events_dropped()) end
return answer
`,
};

export const loneTokenBucket: LuaScript = {
  name: 'lone-token-bucket',
  sha1: '90ab543355b5fa1735f49b5d4fb3e4aa3de89ac7',
  source: `-- lone.lua: decides one request by one algorithm. The hot path when nothing else is under way.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   [1] the window key
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), then the rule: 4 limit, 6 window (ms), 4 block (ms,
--        0 = none), 1 mode, 4 cost, 4 extra (buckets or burst), 1 length and that many bytes of text (the time to live of a
--        new window in ms; under \`concurrency\` the holder; of a quota the starts of periods)
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 6 peek under a policy in shadow mode
-- Reply  an integer for the commonest answer, allowed and all free again a window from now: remaining × 2^41 + server time
--        (ms). Else the string that batch.lua answers.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- Each argument and each reply that is a string costs Redis as much as the decision's own sums: hence one packed argument,
-- a time to live that is text, and an integer where the answer fits into 53 bits.
${now}
local function rare()
${clock}
${window}
local take_over
local function make_algorithm()
${tokenBucketGeneral}
return algorithm
end
${general}
return decide, events_dropped
end

local pack, unpack_at, call, key = struct.pack, struct.unpack, redis.call, KEYS[1]
-- An error answer, of a key of another type, is a table: no common case, and no window for general.lua.
local value = redis.pcall('GET', key)
local outbox_cap, limit, window, block, mode, cost, extra, text = unpack_at('>I4I4I6I4I1I4I4I1c0', ARGV[1])
local left, reset, retry, bytes, ttl, offset, fresh
if mode < 2 then
${tokenBucketCheck}
  if not left then
    -- No common case.
  elseif left >= cost then
${tokenBucketCommit}
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
${tokenBucketRefuse}
    return pack('>I6I4I1I4I6I6', now, 4294967295, 1, left > 0 and left or 0, reset, retry)
  end
end
local decide, events_dropped = rare()
local answer = pack('>I6I4', now, 4294967295) .. decide(key, value, {
  number = 3, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra, text = text,
}, outbox_cap)
if events_dropped() > 0 then answer = answer .. pack('>I4', events_dropped()) end
return answer
`,
};

export const loneConcurrency: LuaScript = {
  name: 'lone-concurrency',
  sha1: 'b64d2fdd0f2f3bed504c8422e5f3887a1b42d496',
  source: `-- lone.lua: decides one request by one algorithm. The hot path when nothing else is under way.
-- A shell: it becomes a script for each algorithm whose redis.lua has a section @check (src/algorithms/README.md).
--
-- KEYS   [1] the window key
-- ARGV   [1] packed, big-endian: 4 outbox cap (entries a shard), then the rule: 4 limit, 6 window (ms), 4 block (ms,
--        0 = none), 1 mode, 4 cost, 4 extra (buckets or burst), 1 length and that many bytes of text (the time to live of a
--        new window in ms; under \`concurrency\` the holder; of a quota the starts of periods)
--        mode: 0 enforce, 1 shadow, 2 peek (answers, writes nothing), 6 peek under a policy in shadow mode
-- Reply  an integer for the commonest answer, allowed and all free again a window from now: remaining × 2^41 + server time
--        (ms). Else the string that batch.lua answers.
-- Events type 'block', when a block begins (block_save, block-record.lua).
--
-- Each argument and each reply that is a string costs Redis as much as the decision's own sums: hence one packed argument,
-- a time to live that is text, and an integer where the answer fits into 53 bits.
${now}
local function rare()
${clock}
${window}
local take_over
local function make_algorithm()
${concurrencyGeneral}
return algorithm
end
${general}
return decide, events_dropped
end

local pack, unpack_at, call, key = struct.pack, struct.unpack, redis.call, KEYS[1]
-- An error answer, of a key of another type, is a table: no common case, and no window for general.lua.
local value = redis.pcall('GET', key)
local outbox_cap, limit, window, block, mode, cost, extra, text = unpack_at('>I4I4I6I4I1I4I4I1c0', ARGV[1])
local left, reset, retry, bytes, ttl, offset, fresh
if mode < 2 then
${concurrencyCheck}
  if not left then
    -- No common case.
  elseif left >= cost then
${concurrencyCommit}
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
${concurrencyRefuse}
    return pack('>I6I4I1I4I6I6', now, 4294967295, 1, left > 0 and left or 0, reset, retry)
  end
end
local decide, events_dropped = rare()
local answer = pack('>I6I4', now, 4294967295) .. decide(key, value, {
  number = 4, limit = limit, window = window, block = block, mode = mode, cost = cost, extra = extra, text = text,
}, outbox_cap)
if events_dropped() > 0 then answer = answer .. pack('>I4', events_dropped()) end
return answer
`,
};

export const nearLimit: LuaScript = {
  name: 'near-limit',
  sha1: '26ec0d4f7633d90f1fb93fb31c0ce4133e8d1d2b',
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

/** Each algorithm's number, in a window's header and in what group.lua is asked, and the scripts made for it alone. */
export const algorithmScripts: Readonly<Record<'sliding-log' | 'sliding-window' | 'fixed-window' | 'token-bucket' | 'concurrency' | 'quota', AlgorithmScripts>> = {
  'sliding-log': { number: 0, batch: batchSlidingLog, lone: loneSlidingLog },
  'sliding-window': { number: 1, batch: batchSlidingWindow, lone: loneSlidingWindow },
  'fixed-window': { number: 2, batch: batchFixedWindow, lone: loneFixedWindow },
  'token-bucket': { number: 3, batch: batchTokenBucket, lone: loneTokenBucket },
  'concurrency': { number: 4, batch: batchConcurrency, lone: loneConcurrency },
  'quota': { number: 5 },
};

interface AlgorithmScripts {
  readonly number: number;
  readonly batch?: LuaScript;
  readonly lone?: LuaScript;
}
