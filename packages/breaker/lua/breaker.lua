--- @include "../../redis/lua/includes/clock.lua"
--- @include "../../redis/lua/includes/outbox.lua"
--- @include "../../redis/lua/includes/change.lua"
--- @include "includes/breaker-record.lua"
--- @include "includes/breaker-window.lua"
--- @include "includes/breaker-audit.lua"
-- breaker.lua: carries out one command on one breaker: merges a report, evaluates, makes the transition,
-- gives out and settles probe leases, forces and resets; writes the audit events and publishes, all in one.
-- Needs clock.lua, outbox.lua, change.lua, breaker-record.lua, breaker-window.lua and breaker-audit.lua in front of it.
--
-- KEYS   [1] record, [2] instances, [3] leases, [4] pulse of the shard; all in one slot
-- ARGV   [1] command, JSON (src/machine/record.ts: Command), [2] outbox cap,
--        [3] channel, [4] preset, [5] the breaker's name
-- Reply  JSON: verdict, retryAfterMs, movedFrom, view, and config if it is newer than the command's
-- Events type 'breaker': event (opened, half_open, closed, failure, success), name,
--        preset, breaker_epoch, failure_count, message, metadata (JSON);
--        type 'change' of each force and reset, with the state before and after it
-- Publishes { preset, name, view } at each transition, when a state was restored,
--        and when failures begin to come in.
--
-- src/machine/step.ts explains the rules; functions have the same names there. The
-- clock is Redis' own. Jitter comes with the command, so that the script stays
-- deterministic.

local ALERT_MS, ASK_AGAIN_MS, SICK_PAUSE_MS = 5000, 1000, 5000

local command = cjson.decode(ARGV[1])
local now = clock_ms()
local stored = load_record()
-- A look at a breaker that nobody has used leaves no trace.
if not stored and command.action.type == 'read' and command.known.epoch == 0 then
  local view = copy(command.known, { kind = 'closed', nowMs = now })
  return cjson.encode({ verdict = 'done', retryAfterMs = 0, movedFrom = '', view = view })
end
local loaded, changed = recover_record(stored, command.known, command.config, now)
-- dirty: there is something to keep. Whatever is no read has it.
local context = {
  record = loaded, command = command, now = now, publish = changed, moved_from = '',
  dirty = changed or command.action.type ~= 'read',
}

local function result(verdict, retry_after)
  local record = context.record
  if context.dirty then save_record(record, now) end
  local view = view_of(record, now)
  if context.publish then
    note_news(record, now)
    -- pcall: without the right to the channel the others find the change when they poll.
    redis.pcall('PUBLISH', CHANNEL, cjson.encode({ preset = PRESET, name = NAME, view = view }))
  end
  local answer = { verdict = verdict, retryAfterMs = retry_after or 0, movedFrom = context.moved_from, view = view }
  if record.config.version > command.config.version then answer.config = record.config end
  return cjson.encode(answer)
end

-- Opens: for a quota as long as was asked, else for longer with every earlier opening in a row.
local function open(reason, openings, asked, cause)
  local config, open_for = context.record.config, asked
  if reason ~= 'quota' then
    local ceiling = math.min(config.maxOpenMs, config.openMs * config.backoff ^ openings)
    local drawn = config.openMs + math.floor(command.random * (ceiling - config.openMs))
    open_for = math.max(drawn, math.min(asked, config.maxOpenMs))
    openings = openings + 1
  end
  flush_backlog(context, true)
  cause.metadata = copy(cause.metadata or {}, { reason = reason, openForMs = open_for })
  local state = { kind = 'open', sinceMs = now, untilMs = now + open_for, openings = openings, reason = reason }
  transition(context, state, cause)
end

local function close_again(state)
  local cause = { metadata = { reason = 'probes_succeeded', probes = state.successes } }
  transition(context, closed_state(now, state.openings), cause)
end

-- A clock that a failover set back must not make times of before it last
-- longer than they could have.
local function clamp_to_clock()
  local state, config = context.record.state, context.record.config
  if state.kind == 'forced_open' or state.kind == 'forced_closed' or state.reason == 'quota' then
    if state.sinceMs > now then
      state.sinceMs, state.untilMs = begun_by_now(state, now)
      context.dirty = true
    end
  elseif state.kind == 'open' then
    if state.untilMs > now + config.maxOpenMs then
      state.untilMs, context.dirty = now + config.maxOpenMs, true
    end
  elseif state.kind == 'half_open' then
    local latest = now + config.leaseMs
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '(' .. latest, '+inf')) do
      redis.call('ZADD', LEASES, latest, id)
    end
  end
end

-- Whether no instance that refuses calls has asked for leave for FORGET_MS.
local function is_left(state)
  if state.kind == 'open' then return state.untilMs <= now - FORGET_MS end
  return state.kind == 'half_open' and state.sinceMs <= now - FORGET_MS and redis.call('ZCARD', LEASES) == 0
end

local function pass_time()
  local state, config = context.record.state, context.record.config
  if (state.kind == 'forced_open' or state.kind == 'forced_closed') and state.untilMs > 0 and state.untilMs <= now then
    transition(context, closed_state(now, 0), { metadata = { reason = 'force_ended' } })
  elseif state.kind == 'half_open' then
    local expired = redis.call('ZREMRANGEBYSCORE', LEASES, '-inf', now)
    if expired > 0 then
      state.expiries, context.dirty = state.expiries + expired, true
    end
    if state.successes >= context.record.config.probes then
      close_again(state)
    elseif state.expiries >= config.maxExpiries then
      open('probes_expired', state.openings, 0, { metadata = { expiries = state.expiries } })
    end
  end
  state = context.record.state
  if not config.trips and is_left(state) then
    transition(context, closed_state(now, state.openings), { metadata = { reason = 'metrics_only' } })
  end
end

local function remembered(state)
  local healthy = math.max(0, now - state.sinceMs)
  return math.max(0, state.openings - math.floor(healthy / context.record.config.decayMs))
end

local function count_sick(asked)
  local record, state = context.record, context.record.state
  if state.kind ~= 'closed' or not record.config.trips or command.known.epoch ~= record.epoch then return end
  local goes_on = state.sickAtMs <= now and state.sickAtMs >= now - SICK_PAUSE_MS
  if not goes_on then state.sickSinceMs = now end
  state.sickAtMs, context.dirty = now, true
  if now - state.sickSinceMs < CALLING_MS or any_other_is_calling(command.instance, now) then return end
  open('sole_caller', remembered(state), asked, { failureCount = state.window.run })
end

local function count(state, batch)
  local record, config = context.record, context.record.config
  local before = without_stale(state.window, config.trip, now)
  local after = with_batch(before, config.trip, command.instance, batch, now)
  local trip = find_trip(config.trip, {
    before = before, after = after, instance = command.instance, batch = batch,
    required = function() return quorum_of(config.quorum, now) end,
  })
  if trip then
    local openings = remembered(state)
    local asked = trip.reason == 'quota' and batch.quotaMs or batch.retryAfterMs
    open(trip.reason, openings, asked, {
      failureCount = trip.failureCount, message = batch.samples[#batch.samples],
      metadata = trip.calls > 0 and { calls = trip.calls, rate = trip.rate } or {},
    })
    return
  end
  state.window = after
  if batch.failures + batch.quotas == 0 then return end
  if record.alertUntilMs <= now then context.publish = true end
  record.alertUntilMs = now + ALERT_MS
end

local actions = {}

function actions.read(action)
  flush_backlog(context, false)
  if action.sick then count_sick(action.askedMs or 0) end
  return result('done')
end

function actions.report(action)
  local record, known = context.record, command.known.epoch
  local seen, called_at = redis.call('HGET', INSTANCES, command.instance), 0
  if seen then
    local seq, at = string.match(seen, '^(.*):(.*)$')
    called_at = tonumber(at)
    if called_at > now - FORGET_MS and action.seq <= tonumber(seq) then return result('ignored') end
  end
  -- Telling late is no call: the time noted is one that doesn't count as calling, which still keeps the number known
  -- for FORGET_MS - CALLING_MS.
  called_at = action.lateMs and math.max(called_at, now - CALLING_MS) or now
  redis.call('HSET', INSTANCES, command.instance, string.format('%.0f:%.0f', action.seq, called_at))
  redis.call('PEXPIRE', INSTANCES, ttl_ms(10 * FORGET_MS))
  if action.lateMs then
    record_late(context, action.batch, action.lateMs)
    return result('done')
  end
  -- What counts for nothing has happened all the same: the trail has it.
  record_batch(context, action.batch)
  if known ~= 0 and known ~= record.epoch then return result('ignored') end
  local state = record.state
  if state.kind ~= 'closed' and state.kind ~= 'forced_closed' then return result('ignored') end
  if state.kind == 'closed' and record.config.trips then count(state, action.batch) end
  return result('done')
end

local function lease(state, id)
  local config = context.record.config
  if redis.call('ZSCORE', LEASES, id) then return result('granted') end
  if redis.call('ZCARD', LEASES) + state.successes >= config.probes then
    -- There is one, and it has not ended: pass_time closed the breaker if all that are needed had succeeded.
    local first = tonumber(redis.call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2])
    return result('denied', math.min(ASK_AGAIN_MS, first - now))
  end
  redis.call('ZADD', LEASES, now + config.leaseMs, id)
  redis.call('PEXPIRE', LEASES, ttl_ms(config.leaseMs + DAY_MS))
  return result('granted')
end

function actions.acquire(action)
  local state = context.record.state
  if state.kind == 'closed' or state.kind == 'forced_closed' then return result('pass') end
  if state.kind == 'forced_open' then
    return result('denied', state.untilMs == 0 and ASK_AGAIN_MS or state.untilMs - now)
  end
  if state.kind == 'half_open' then return lease(state, action.leaseId) end
  if state.untilMs > now then return result('denied', state.untilMs - now) end
  local half_open = { kind = 'half_open', sinceMs = now, openings = state.openings, successes = 0, expiries = 0 }
  transition(context, half_open, { metadata = { reason = 'open_time_over' } })
  return lease(half_open, action.leaseId)
end

function actions.settle(action)
  local state, config, outcome = context.record.state, context.record.config, action.outcome
  if state.kind ~= 'half_open' or action.epoch ~= context.record.epoch then return result('expired') end
  if redis.call('ZREM', LEASES, action.leaseId) == 0 then return result('expired') end
  local kind = outcome.kind
  state.expiries = 0
  if kind == 'success' or kind == 'answered' then state.successes = state.successes + 1 end
  record_batch(context, {
    successes = kind == 'success' and 1 or 0, failures = kind == 'failure' and 1 or 0, quotas = kind == 'quota' and 1 or 0,
    samples = outcome.message ~= '' and { outcome.message } or {},
  })
  if kind == 'failure' or kind == 'quota' then
    local reason = kind == 'quota' and 'quota' or 'probe_failed'
    open(reason, state.openings, outcome.retryAfterMs, { failureCount = 1, message = outcome.message })
  elseif state.successes >= config.probes then
    close_again(state)
  end
  return result('settled')
end

-- A change by hand: the same moment is a transition among the breaker's events.
local function move_by_hand(action, name, state, metadata)
  local before = state_json(context.record.state)
  flush_backlog(context, true)
  transition(context, state, { metadata = metadata })
  change_emit(outbox_tag(RECORD), now, OUTBOX_CAP, {
    actor = action.who, note = action.why, action = name, kind = 'breaker', object = PRESET .. '/' .. NAME,
    before = before, after = state_json(state),
  })
  return result('done')
end

function actions.force(action)
  local until_ms = action.forMs == 0 and 0 or now + action.forMs
  local state = { kind = action.target, sinceMs = now, untilMs = until_ms, who = action.who, why = action.why }
  local metadata = { reason = 'forced', who = action.who, why = action.why, untilMs = until_ms }
  return move_by_hand(action, action.target == 'forced_open' and 'force_open' or 'force_closed', state, metadata)
end

function actions.reset(action)
  local metadata = { reason = 'reset', who = action.who, why = action.why }
  return move_by_hand(action, 'reset', closed_state(now, 0), metadata)
end

-- Of equal versions the caller's that speaks holds; one that only reads changes nothing.
local newer = command.config.version - context.record.config.version
if newer > 0 or (newer == 0 and command.action.type ~= 'read') then
  context.record.config, context.dirty = command.config, true
end
clamp_to_clock()
pass_time()
return actions[command.action.type](command.action)
