-- hand-now.test.lua: stands in for now.lua in tests, which turn the clock by setting a key in each shard.

local now = tonumber(redis.call('GET', string.match(KEYS[1], '^{[^}]*}') .. ':hand-clock'))
local spare_ms = 86400000
