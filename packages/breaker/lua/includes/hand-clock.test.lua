-- hand-clock.test.lua: stands in for clock.lua in tests, which turn it by setting a key in the breaker's slot.
-- Redis' own expiry knows nothing of it, so keys are given a day more: what a
-- breaker forgets it must forget by itself.

local function clock_ms()
  return tonumber(redis.call('GET', string.match(KEYS[1], '^{[^}]*}') .. ':hand-clock'))
end

local function ttl_ms(ms)
  return ms + 86400000
end
