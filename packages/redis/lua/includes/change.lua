-- change.lua: records a change that was made by hand.
-- Needs outbox.lua in front of it.
--
-- Provides
--   change_emit(tag, now, cap, change)
--       change: actor, note, action, kind, object, before, after. All are text;
--       before and after are JSON, '' where there was or is nothing.
--
-- The event is sequenced, so that a lost one is found as a gap. It may stand
-- CHANGE_RESERVE entries above the cap: a full outbox is when people act by
-- hand, and what they do is seldom. A cap of 0 writes nothing at all.

local CHANGE_RESERVE = 1000

local function change_emit(tag, now, cap, change)
  outbox_emit(tag, now, cap > 0 and cap + CHANGE_RESERVE or 0, true, 'change', {
    'actor', change.actor, 'note', change.note, 'action', change.action, 'kind', change.kind,
    'object', change.object, 'before', change.before, 'after', change.after,
  })
end
