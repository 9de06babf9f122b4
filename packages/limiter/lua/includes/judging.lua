--- @include "../../../redis/lua/includes/clock.lua"
--- @include "window.lua"
local function make_blocks()
--- @include "../../../redis/lua/includes/outbox.lua"
--- @include "block-record.lua"
--- @include "blocks.lua"
end
--- @include "../algorithms/save.lua"
