-- now.lua: the time of this call, asked once. Not a call of clock_ms(): making and calling a
-- function would cost the hot scripts as much as the sum itself.
--
-- Provides
--   now        milliseconds since 1970 by this Redis server, never by a client
--   spare_ms   to be added to each time to live

local time = redis.call('TIME')
local now = time[2] / 1000
now = time[1] * 1000 + now - now % 1
local spare_ms = 0
