-- breaker-record.lua: how a breaker is kept, read and written back.
-- Needs clock.lua and outbox.lua in front of it.
--
-- Provides
--   load_record()                    -> record, or nil when there is none
--   recover_record(record, known, config, now) -> record, changed
--   save_record(record, now)
--   note_news(record, now)           notes in the shard's pulse that there is news
--   transition(context, state, cause)
--   emit(context, type, cause)       hands an event to the audit trail
--   view_of(record, now)             the part of the record that instances get
--   state_json(state)                a state as the trail keeps it
--
-- Functions have the names of those of src/machine/restore.ts and step-context.ts.
--
-- Keys
--   RECORD     string, JSON: epoch, seeded, config, state, alertUntilMs, audit
--   INSTANCES  hash: instance -> 'seq:called at (ms)'
--   LEASES     sorted set: lease id by expiry (ms); belongs to the half-open
--              state of the current epoch and goes with it
--   PULSE      string, a line for each of the shard's last news, the newest first:
--              'noted at (ms) epoch alert until (ms) preset/name'. A reader that knows
--              the first line of before sees at a glance what is new for all
--              breakers; one that doesn't find it must read them all.
--
-- cjson can't tell an empty list from an empty map and writes both as {};
-- readers accept either.

local RECORD, INSTANCES, LEASES, PULSE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local OUTBOX_CAP, CHANNEL, PRESET, NAME = tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local DAY_MS, FOREVER_MS, PULSE_LINES = 86400000, 315360000000, 32

local EVENT_TYPES = {
  closed = 'closed', open = 'opened', half_open = 'half_open', forced_open = 'opened', forced_closed = 'closed',
}

local function copy(source, changes)
  local target = {}
  for key, value in pairs(source) do target[key] = value end
  for key, value in pairs(changes or {}) do target[key] = value end
  return target
end

local function closed_state(now, openings)
  local window = { run = 0, runAtMs = 0, runBy = {}, buckets = {}, guiltBy = {}, quota = {} }
  return { kind = 'closed', sinceMs = now, openings = openings, window = window, sickSinceMs = 0, sickAtMs = 0 }
end

local function load_record()
  local text = redis.call('GET', RECORD)
  return text and cjson.decode(text) or nil
end

-- A state without an end must outlive any pause; all others start again
-- when nobody has used them for a day.
local function save_record(record, now)
  local until_ms = record.state.untilMs
  local ttl = DAY_MS
  if until_ms == 0 then
    ttl = FOREVER_MS
  elseif until_ms and until_ms > now then
    ttl = until_ms - now + DAY_MS
  end
  redis.call('SET', RECORD, cjson.encode(record), 'PX', ttl_ms(ttl))
end

local function note_news(record, now)
  local lines = { string.format('%.0f %.0f %.0f %s/%s', now, record.epoch, record.alertUntilMs, PRESET, NAME) }
  for line in string.gmatch(redis.call('GET', PULSE) or '', '[^\n]+') do
    if #lines == PULSE_LINES then break end
    table.insert(lines, line)
  end
  redis.call('SET', PULSE, table.concat(lines, '\n'), 'PX', ttl_ms(FOREVER_MS))
end

local function view_of(record, now)
  local state = record.state
  return {
    epoch = record.epoch, seeded = record.seeded, kind = state.kind, sinceMs = state.sinceMs,
    untilMs = state.untilMs or 0,
    openings = state.openings or 0, reason = state.reason or '', who = state.who or '', why = state.why or '',
    alertUntilMs = record.alertUntilMs, nowMs = now,
  }
end

local function state_json(state)
  return cjson.encode({
    state = state.kind, sinceMs = state.sinceMs, untilMs = state.untilMs, reason = state.reason, who = state.who,
    why = state.why,
  })
end

local function emit(context, type, cause)
  local command, config = context.command, context.record.config
  local metadata = copy(cause.metadata, { instance = command.instance, version = config.version })
  outbox_emit(outbox_tag(RECORD), context.now, OUTBOX_CAP, true, 'breaker', {
    'event', type, 'name', NAME, 'preset', PRESET, 'breaker_epoch', string.format('%.0f', context.record.epoch),
    'failure_count', cause.failureCount or 0, 'message', cause.message or '', 'metadata', cjson.encode(metadata),
  })
end

local function transition(context, state, cause)
  local record = context.record
  context.dirty = true
  if context.moved_from == '' then context.moved_from = record.state.kind end
  record.epoch = math.max(context.now, record.epoch + 1)
  record.seeded = false
  record.state = state
  record.alertUntilMs = 0
  redis.call('DEL', LEASES)
  emit(context, EVENT_TYPES[state.kind], cause)
  context.publish = true
end

local function is_in_force(view, now)
  if view.kind == 'forced_open' or view.kind == 'forced_closed' then
    return view.untilMs == 0 or view.untilMs > now
  end
  return view.kind == 'open' and view.untilMs > now
end

-- The times of a state that has begun by now: if it lies ahead, the clock was
-- set back, and it lasts as long as before.
local function begun_by_now(state, now)
  local ahead = math.max(0, state.sinceMs - now)
  return state.sinceMs - ahead, state.untilMs == 0 and 0 or state.untilMs - ahead
end

local function adopt_view(record, view, now)
  local since, ends = begun_by_now(view, now)
  record.epoch, record.seeded = view.epoch, false
  redis.call('DEL', LEASES)
  if view.kind == 'closed' then
    record.state = copy(closed_state(now, view.openings), { sinceMs = since })
  elseif view.kind == 'open' or view.kind == 'half_open' then
    local until_ms = view.kind == 'open' and ends or now
    local reason = view.reason ~= '' and view.reason or 'failures'
    record.state = { kind = 'open', sinceMs = since, untilMs = until_ms, openings = view.openings, reason = reason }
    -- The leases are lost, so none of this epoch may be settled: probing begins again.
    if view.kind == 'half_open' then record.epoch = math.max(now, view.epoch + 1) end
  else
    record.state = { kind = view.kind, sinceMs = since, untilMs = ends, who = view.who, why = view.why }
  end
end

local function recover_record(record, known, config, now)
  if not record then
    local audit = { secondMs = 0, emitted = 0, failures = 0, message = '', successes = 0, successesAtMs = 0 }
    local fresh = {
      epoch = now, seeded = true, config = config, state = closed_state(now, 0), alertUntilMs = 0, audit = audit,
    }
    if known.epoch > 0 then adopt_view(fresh, known, now) end
    return fresh, true
  end
  if known.epoch > record.epoch then
    adopt_view(record, known, now)
    return record, true
  end
  if record.seeded and known.epoch > 0 and known.epoch < record.epoch and is_in_force(known, now) then
    local epoch = math.max(now, record.epoch + 1)
    adopt_view(record, known, now)
    record.epoch = epoch
    return record, true
  end
  return record, false
end
