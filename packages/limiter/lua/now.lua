-- now.lua: the time of this call, asked once.
-- Needs clock.lua in front of it.
--
-- Provides
--   now   milliseconds since 1970 by this Redis server

local now = clock_ms()
