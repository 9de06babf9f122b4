-- counters-start.lua: what the files of the folder lean/ are written with.
-- Needs now.lua in front of it.

local call, pack, unpack_at = redis.call, struct.pack, struct.unpack
local sub, rep, ceil, format = string.sub, string.rep, math.ceil, string.format
-- Longest time that a reply can say.
local LONGEST = 0xFFFFFFFE
-- Whether each request says who holds its slot.
local has_holders = false
