-- fixed-window.lua: a counter that starts anew a window after its first unit.
-- Needs save.lua in front of it.
--
-- Admits at most the limit in each window, and so at most twice the limit in a
-- trailing one. The window begins with its first unit and not at a round time,
-- so that subjects don't all begin at once.
--
-- Base: begin of the window. Body: 4 bytes units, 6 bytes time of the last (ms).

local fixed = { tag = 2 }

function fixed.read(w, rule)
  w.at = w.body == '' and now or max(now, w.base)
  if w.body == '' or w.at >= w.base + rule.window then
    w.start, w.used, w.last = w.at, 0, w.at
  else
    w.start = w.base
    w.used, w.last = unpack_at('>I4I6', w.body)
  end
end

function fixed.reset(w, rule)
  return w.start + rule.window - w.at
end

fixed.retry = fixed.reset

function fixed.add(w, rule)
  save(w, fixed.tag, w.start, pack('>I4I6', w.used + rule.cost, w.at), w.start + rule.window - now)
end

function fixed.take(w, rule)
  save(w, fixed.tag, w.start, pack('>I4I6', max(0, w.used - rule.cost), w.last), w.start + rule.window - now)
end

return fixed
