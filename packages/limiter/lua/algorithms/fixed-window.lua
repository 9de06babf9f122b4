-- fixed-window.lua: a counter that starts anew a window after its first unit.
-- Needs save.lua in front of it.
--
-- Admits at most the limit in each window, and so at most twice the limit in a
-- trailing one. The window begins with its first unit and not at a round time,
-- so that subjects don't all begin at once.
--
-- Base: begin of the window. Body: 4 bytes units.

local fixed = {}

function fixed.read(w, rule)
  w.at = w.body == '' and now or max(now, w.base)
  if w.body == '' or w.at >= w.base + rule.window then
    w.start, w.used = w.at, 0
  else
    w.start, w.used = w.base, unpack_at('>I4', w.body)
  end
end

function fixed.reset(w, rule)
  return w.start + rule.window - w.at
end

fixed.retry = fixed.reset

function fixed.add(w, rule)
  save(w, w.start, pack('>I4', w.used + rule.cost), w.start + rule.window - now)
end

function fixed.take(w, rule)
  save(w, w.start, pack('>I4', max(0, w.used - rule.cost)), w.start + rule.window - now)
end

return fixed
