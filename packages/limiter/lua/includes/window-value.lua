-- window-value.lua: what of a key is a window. Others can write there: a list, some text, a window that was cut off.
-- Needs `now` in front of it.
--
-- Provides
--   window_value(value)    what GET answered, when it is a window; else nil
--
-- What is no window counts as none, as after a DEL: the next request that is admitted begins a window in its place. To
-- answer by an error instead would leave the subject to the policy's onUnavailable for as long as the value stays, and with
-- it all whose requests share the batch.
--
-- The form of a window: window.lua. Text reads as times after the year 3084: an expiry so far ahead is no window's, but for
-- the one that stands for ever.

local function window_value(value)
  -- An error answer is a table, of length 0.
  if not value or #value < 18 then return nil end
  local base, _, expires = struct.unpack('>I6I6I6', value)
  local number, size = math.floor(base / 17592186044416), #value - 18
  if number > 5 or expires > now + 31557600000000 and expires < 281474976710655 then return nil end
  if size == 0 then return value end
  if number == 0 then return size % 5 == 0 and value or nil end
  if number == 1 then return size > 15 and size % 4 == 3 and value or nil end
  if number == 2 then return size == 10 and value or nil end
  if number == 3 then
    if size ~= 13 then return nil end
    local level, window = struct.unpack('>dI5', value, 19)
    -- No comparison holds for what is no number.
    return level >= 0 and level < 2 ^ 96 and window > 0 and value or nil
  end
  if number == 4 then return size % 14 == 0 and value or nil end
  return size == 16 and value or nil
end
