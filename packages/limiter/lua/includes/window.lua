-- window.lua: how every algorithm keeps what it knows of one subject.
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
