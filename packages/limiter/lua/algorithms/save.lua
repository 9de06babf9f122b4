-- save.lua: what the algorithms beside it write.
-- Needs window.lua in front of it.
--
-- Provides
--   save(w, tag, base, body, ttl)   writes a window; w is afterwards as if read back

-- A block stays.
local function save(w, tag, base, body, ttl)
  window_save(w.key, base + tag * TAG, w.blocked > w.at and w.blocked or 0, body, ttl, w.blocked > w.at and w.shadow)
  w.base, w.body = base, body
end
