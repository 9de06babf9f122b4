-- breaker-audit.lua: which outcomes become events of the trail.
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
