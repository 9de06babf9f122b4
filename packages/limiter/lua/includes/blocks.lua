-- blocks.lua: the rare part of decide.lua, for when a block begins.
-- Needs clock.lua, outbox.lua and block-record.lua in front of it.
--
-- Returns block_save (block-record.lua), and dropped() -> events that this call dropped so far

return block_save, function() return outbox_dropped end
