-- breaker-audit.lua: which outcomes become events of the trail.
-- The same as src/machine/audit.ts, function by function.
--
-- Provides
--   audit_batch(turn, batch)    records what a batch brought, as the config asks
--   audit_late(turn, batch, late_ms)  records what came too late to count
--   audit_flush(turn, at_once)  tells of failures that were held back

local FAILURE_EVENTS_PER_SECOND, SECOND_MS, SUMMARY_MS = 10, 1000, 10000

local function second_over(turn)
  local began = turn.record.audit.secondMs
  return turn.now - began >= SECOND_MS or turn.now < began
end

local function audit_flush(turn, at_once)
  local audit = turn.record.audit
  if audit.failures > 0 and (at_once or second_over(turn)) then
    breaker_emit(turn, 'failure', {
      failureCount = audit.failures, message = audit.message, metadata = { coalesced = 1 },
    })
    audit.failures, audit.message, turn.dirty = 0, '', true
  end
end

local function audit_failures(turn, count, samples)
  if count == 0 then return end
  local audit = turn.record.audit
  if second_over(turn) then
    audit.secondMs, audit.emitted = turn.now, 0
  end
  local single = math.min(count, FAILURE_EVENTS_PER_SECOND - audit.emitted)
  local last = samples[#samples] or ''
  for index = 1, single do
    breaker_emit(turn, 'failure', { failureCount = 1, message = samples[index] or last, metadata = {} })
  end
  audit.emitted = audit.emitted + single
  if count > single then
    audit.failures, audit.message = audit.failures + count - single, last
  end
end

local function audit_successes(turn, count)
  local audit = turn.record.audit
  audit.successes = audit.successes + count
  if audit.successes > 0 and turn.now - audit.successesAtMs >= SUMMARY_MS then
    breaker_emit(turn, 'success', { metadata = { count = audit.successes } })
    audit.successes, audit.successesAtMs = 0, turn.now
  end
end

local function audit_batch(turn, batch)
  audit_flush(turn, false)
  local config = turn.record.config
  if config.recordFailures then audit_failures(turn, batch.failures + batch.quotas, batch.samples) end
  if config.recordSuccesses then audit_successes(turn, batch.successes) end
end

local function audit_late(turn, batch, late_ms)
  local config, count = turn.record.config, batch.failures + batch.quotas
  if config.recordFailures and count > 0 then
    breaker_emit(turn, 'failure', {
      failureCount = count, message = batch.samples[#batch.samples], metadata = { lateMs = late_ms },
    })
  end
  if config.recordSuccesses then audit_successes(turn, batch.successes) end
end
