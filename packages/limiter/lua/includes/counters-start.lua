-- counters-start.lua: what the files of the folder lean/ are written with.
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
