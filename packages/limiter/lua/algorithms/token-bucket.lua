-- token-bucket.lua: a bucket that holds `extra` tokens (the burst) and gets `limit` of them back in each window.
-- Needs save.lua in front of it.
--
-- Kept as the equivalent generic cell rate algorithm (GCRA, ITU-T I.371) in the
-- form of a leaky bucket: a level that each unit raises and time lowers. In any
-- stretch of time T at most burst + T * limit / window units are admitted.
--
-- The level is counted in units * window, so that it falls by `limit` in each ms
-- and all sums are whole numbers, exact in a double up to 2^53.
--
-- Base: time of the level. Body: 8 bytes level (double), 5 bytes window (ms) by
-- which it is scaled.

local bucket = { tag = 3 }

function bucket.read(w, rule)
  w.capacity = tonumber(rule.extra)
  w.at, w.level = now, 0
  if w.body ~= '' then
    local level, window = unpack_at('>dI5', w.body)
    w.at = max(now, w.base)
    if window ~= rule.window then level = ceil(level / window * rule.window) end
    w.level = max(0, level - (w.at - w.base) * rule.limit)
  end
  w.used = ceil(w.level / rule.window)
  w.start = w.at - ceil(w.level / rule.limit)
end

function bucket.reset(w, rule)
  return ceil(w.level / rule.limit)
end

function bucket.retry(w, rule)
  return ceil((w.level + (rule.cost - w.capacity) * rule.window) / rule.limit)
end

local function write_level(w, rule, level)
  w.level = level
  save(w, bucket.tag, w.at, pack('>dI5', level, rule.window), w.at - now + ceil(level / rule.limit) + 1)
end

function bucket.add(w, rule)
  write_level(w, rule, w.level + rule.cost * rule.window)
end

function bucket.take(w, rule)
  write_level(w, rule, max(0, w.level - rule.cost * rule.window))
end

return bucket
