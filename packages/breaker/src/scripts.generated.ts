// Generated from the Lua files by `pnpm build:lua`: change those, not this file.
import type { LuaScript } from '@spillway/redis';

const clock = `-- clock.lua: the one place where a script learns the time.
--
-- Provides
--   clock_ms()   milliseconds since 1970 by this Redis server, never by a client
--   ttl_ms(ms)   the time to live to give a key that must outlast \`ms\`
--
-- A separate file so that tests can put a clock that they turn by hand in its
-- place; no other script calls TIME.

local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function ttl_ms(ms)
  return ms
end
`;

const outbox = `-- outbox.lua: hands an event to the audit trail in the same script that made it happen.
--
-- Provides
--   outbox_tag(key)                                   the hash tag that a key begins with, '{sw:07}'
--   outbox_emit(tag, now, cap, sequenced, kind, fields)
--       -> epoch, seq    the event's identity within its shard (seq 0 when not sequenced)
--       -> nil           the outbox was full; the event was counted as dropped
--                        (with a cap of 0 there is no trail, and nothing is counted)
--   outbox_dropped                                    events that this call dropped so far
--
-- Keys it touches, all in the tag's slot
--   TAG:outbox        stream, one entry an event, with one field: 'e', a JSON list
--                     of kind, epoch, seq, at and what \`fields\` says
--   TAG:outbox:head   hash: epoch, seq, dropped (counters: no TTL)
--
-- Why an epoch: a flushed or emptied Redis starts counting at 1 again. The epoch
-- is the time at which this counter was born, so old and new numbers never meet.
--
-- Why a cap and no MAXLEN: trimming would lose the oldest events without a
-- trace. A full outbox refuses new ones instead and says how many.
--
-- Why one field: an entry of seventeen costs Redis and the reader five times as
-- much. Nobody looks at a part of an event before it is a row.
--
-- \`fields\` is a list of names and values in turn, at least one of each. Of a type
-- that comes in masses it is text instead: JSON values with commas between, whose names
-- the reader knows (LAYOUTS in src/outbox.ts): names were half of a block's event.
--
-- Unsequenced events are repeated by a later one (running totals), so a
-- lost one is no gap in the trail.

local outbox_dropped = 0

local function outbox_tag(key)
  return string.match(key, '^{[^}]*}')
end

-- Numbers become text as redis.call would make them; cjson's own have 14 digits.
local function outbox_pack(fields)
  for index = 1, #fields do
    local value = fields[index]
    fields[index] = type(value) == 'number' and string.format('%.17g', value) or tostring(value)
  end
  return string.sub(cjson.encode(fields), 2, -2)
end

local function outbox_emit(tag, now, cap, sequenced, kind, fields)
  if cap == 0 then return nil end
  local stream, head = tag .. ':outbox', tag .. ':outbox:head'
  if redis.call('XLEN', stream) >= cap then
    redis.call('HINCRBY', head, 'dropped', 1)
    outbox_dropped = outbox_dropped + 1
    return nil
  end
  local epoch = redis.call('HGET', head, 'epoch')
  if not epoch then
    epoch = string.format('%.0f', now)
    redis.call('HSET', head, 'epoch', epoch)
  end
  local seq = 0
  if sequenced then
    seq = redis.call('HINCRBY', head, 'seq', 1)
  end
  local rest = type(fields) == 'table' and outbox_pack(fields) or fields
  redis.call('XADD', stream, '*', 'e', string.format('["%s",%s,%.0f,%.0f,%s]', kind, epoch, seq, now, rest))
  return epoch, seq
end
`;

const change = `-- change.lua: records a change that was made by hand.
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
`;

const breakerRecord = `-- breaker-record.lua: how a breaker is kept, read and written back.
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
  for line in string.gmatch(redis.call('GET', PULSE) or '', '[^\\n]+') do
    if #lines == PULSE_LINES then break end
    table.insert(lines, line)
  end
  redis.call('SET', PULSE, table.concat(lines, '\\n'), 'PX', ttl_ms(FOREVER_MS))
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
`;

const breakerWindow = `-- breaker-window.lua: what is counted in closed state, and when it trips.
-- Functions have the names of those of src/machine/window.ts.
--
-- Provides
--   without_stale(window, trip, now)
--   with_batch(before, trip, instance, batch, now)
--   find_trip(trip, evidence)     -> { reason, failureCount, calls, rate }, or nil
--   any_other_is_calling(instance, now)
--   quorum_of(quorum, now)        instances whose evidence it takes; forgets
--                                 those that haven't called for a minute
--
-- \`evidence\` is { before, after, instance, batch, required }; required is a
-- function, for most batches need no look at the instances.

local CALLING_MS, FORGET_MS, BUCKETS = 10000, 60000, 10

local function newer_than(times, since)
  local kept = {}
  for name, at in pairs(times) do
    if at > since then kept[name] = at end
  end
  return kept
end

local function size_of(map)
  local size = 0
  for _ in pairs(map) do size = size + 1 end
  return size
end

local function sum(buckets, field)
  local total = 0
  for _, bucket in ipairs(buckets) do total = total + bucket[field] end
  return total
end

local function without_stale(window, trip, now)
  local running = window.run > 0 and window.runAtMs > now - trip.forgetMs
  local buckets = {}
  for _, bucket in ipairs(window.buckets) do
    if bucket.atMs > now - trip.staleMs then table.insert(buckets, bucket) end
  end
  return {
    run = running and window.run or 0, runAtMs = running and window.runAtMs or 0, runBy = running and window.runBy or {},
    buckets = buckets, guiltBy = newer_than(window.guiltBy, now - trip.staleMs), quota = newer_than(window.quota, now),
  }
end

local function with_calls(buckets, trip, batch, now)
  local calls, last, share = batch.successes + batch.failures, buckets[#buckets], trip.size / BUCKETS
  local by_time = trip.over == 'time'
  local fits = false
  if last then
    if by_time then fits = now - last.atMs < share else fits = last.calls < share end
  end
  local kept = {}
  for index, bucket in ipairs(buckets) do kept[index] = bucket end
  if fits then
    kept[#kept] = {
      -- A count's bucket is as old as its newest call, a time's as its oldest.
      atMs = by_time and last.atMs or now, calls = last.calls + calls,
      failures = last.failures + batch.failures, slow = last.slow + batch.slow,
    }
  else
    table.insert(kept, { atMs = now, calls = calls, failures = batch.failures, slow = batch.slow })
  end
  if not by_time then
    local total = sum(kept, 'calls')
    while kept[1] and total - kept[1].calls >= trip.size do
      total = total - kept[1].calls
      table.remove(kept, 1)
    end
  end
  return kept
end

local function with_batch(before, trip, instance, batch, now)
  local broken = batch.successes > 0
  local after = copy(before, { run = broken and batch.trailingFailures or before.run + batch.trailingFailures })
  if broken then
    after.runAtMs, after.runBy = 0, {}
  end
  if batch.trailingFailures > 0 then
    after.runAtMs, after.runBy = now, copy(after.runBy, { [instance] = now })
  end
  if trip.size > 0 and batch.successes + batch.failures > 0 then
    after.buckets = with_calls(before.buckets, trip, batch, now)
  end
  if trip.size > 0 and batch.failures + batch.slow > 0 then
    after.guiltBy = copy(before.guiltBy, { [instance] = now })
  end
  if batch.quotaMs > 0 then
    after.quota = copy(before.quota, { [instance] = now + batch.quotaMs })
  end
  return after
end

local function any_other_is_calling(instance, now)
  local flat = redis.call('HGETALL', INSTANCES)
  for index = 1, #flat, 2 do
    local at = tonumber(string.match(flat[index + 1], ':(.*)$'))
    if flat[index] ~= instance and at > now - CALLING_MS then return true end
  end
  return false
end

local function quorum_of(quorum, now)
  local flat, calling = redis.call('HGETALL', INSTANCES), 0
  for index = 1, #flat, 2 do
    local at = tonumber(string.match(flat[index + 1], ':(.*)$'))
    if at > now - CALLING_MS then
      calling = calling + 1
    elseif at <= now - FORGET_MS then
      redis.call('HDEL', INSTANCES, flat[index])
    end
  end
  return math.max(1, quorum < 1 and math.ceil(quorum * calling) or math.min(quorum, calling))
end

local function trip_of_run(trip, evidence)
  local batch = evidence.batch
  if trip.failures == 0 or batch.failures == 0 then return nil end
  if math.max(evidence.before.run + batch.leadingFailures, batch.longestRun) < trip.failures then return nil end
  local witnesses = size_of(copy(evidence.before.runBy, { [evidence.instance] = 1 }))
  local required, reached = evidence.required(), 0
  if batch.leadingFailures > 0 and witnesses >= required then reached = evidence.before.run + batch.leadingFailures end
  if required <= 1 then reached = math.max(reached, batch.longestRun) end
  return reached >= trip.failures and { reason = 'failures', failureCount = reached, calls = 0, rate = 0 } or nil
end

local function trip_of_shares(trip, evidence)
  local buckets = evidence.after.buckets
  local calls = sum(buckets, 'calls')
  if trip.size == 0 or calls < trip.minimumCalls then return nil end
  local failed, slow = sum(buckets, 'failures'), sum(buckets, 'slow')
  local reason = nil
  if failed / calls >= trip.failureRate then
    reason = 'failure_rate'
  elseif slow / calls >= trip.slowRate then
    reason = 'slow_rate'
  end
  if not reason or size_of(evidence.after.guiltBy) < evidence.required() then return nil end
  local rate = math.floor((reason == 'failure_rate' and failed or slow) / calls * 10000 + 0.5) / 10000
  return { reason = reason, failureCount = failed, calls = calls, rate = rate }
end

local function find_trip(trip, evidence)
  local batch = evidence.batch
  if batch.quotaMs > 0 and size_of(evidence.after.quota) >= evidence.required() then
    return { reason = 'quota', failureCount = batch.quotas, calls = 0, rate = 0 }
  end
  if batch.failures + batch.slow == 0 then return nil end
  return trip_of_run(trip, evidence) or trip_of_shares(trip, evidence)
end
`;

const breakerAudit = `-- breaker-audit.lua: which outcomes become events of the trail.
-- Functions have the names of those of src/machine/step-context.ts.
--
-- Provides
--   record_batch(context, batch)   records what a batch brought, as the config asks
--   record_late(context, batch, late_ms)   records what came too late to count
--   flush_backlog(context, at_once)   emits failures that were held back

local FAILURE_EVENTS_PER_SECOND, SECOND_MS, SUMMARY_MS = 10, 1000, 10000

local function second_over(context)
  local began = context.record.audit.secondMs
  return context.now - began >= SECOND_MS or context.now < began
end

local function flush_backlog(context, at_once)
  local audit = context.record.audit
  if audit.failures > 0 and (at_once or second_over(context)) then
    emit(context, 'failure', {
      failureCount = audit.failures, message = audit.message, metadata = { coalesced = 1 },
    })
    audit.failures, audit.message, context.dirty = 0, '', true
  end
end

local function record_failures(context, count, samples)
  if count == 0 then return end
  local audit = context.record.audit
  if second_over(context) then
    audit.secondMs, audit.emitted = context.now, 0
  end
  local single = math.min(count, FAILURE_EVENTS_PER_SECOND - audit.emitted)
  local last = samples[#samples] or ''
  for index = 1, single do
    emit(context, 'failure', { failureCount = 1, message = samples[index] or last, metadata = {} })
  end
  audit.emitted = audit.emitted + single
  if count > single then
    audit.failures, audit.message = audit.failures + count - single, last
  end
end

local function record_successes(context, count)
  local audit = context.record.audit
  audit.successes = audit.successes + count
  if audit.successes > 0 and context.now - audit.successesAtMs >= SUMMARY_MS then
    emit(context, 'success', { metadata = { count = audit.successes } })
    audit.successes, audit.successesAtMs = 0, context.now
  end
end

local function record_batch(context, batch)
  flush_backlog(context, false)
  local config = context.record.config
  if config.recordFailures then record_failures(context, batch.failures + batch.quotas, batch.samples) end
  if config.recordSuccesses then record_successes(context, batch.successes) end
end

local function record_late(context, batch, late_ms)
  local config, count = context.record.config, batch.failures + batch.quotas
  if config.recordFailures and count > 0 then
    emit(context, 'failure', {
      failureCount = count, message = batch.samples[#batch.samples], metadata = { lateMs = late_ms },
    })
  end
  if config.recordSuccesses then record_successes(context, batch.successes) end
end
`;

export const breaker: LuaScript = {
  name: 'breaker',
  sha1: 'bdbca14b487e6d1b30beea92ebf7573718fcb063',
  source: `${clock}
${outbox}
${change}
${breakerRecord}
${breakerWindow}
${breakerAudit}
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
`,
};
