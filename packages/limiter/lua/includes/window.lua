-- window.lua: how every algorithm keeps what it knows of one subject.
-- Needs clock.lua and now.lua in front of it.
--
-- Provides
--   HEADER, FOREVER      length of a window's header; "for ever" in a reply's 4 bytes
--   window_save(key, base, blocked, body, ttl)
--
-- A window is one string: 6 bytes base time (ms), 6 bytes blocked-until (ms,
-- 0 = not blocked), 6 bytes expiry (ms), then a body that only its algorithm
-- understands. A policy whose algorithm changes gets other keys, so that no
-- algorithm meets another's body.

local HEADER = 18
local FOREVER = 0xFFFFFFFF
local call, pack, unpack_at = redis.call, struct.pack, struct.unpack
local sub, rep, floor, ceil = string.sub, string.rep, math.floor, math.ceil
local max, min = math.max, math.min

local function window_save(key, base, blocked, body, ttl)
  if blocked - now > ttl then ttl = blocked - now end
  call('SET', key, pack('>I6I6I6', base, blocked, now + ttl) .. body, 'PX', ttl_ms(ttl))
end
