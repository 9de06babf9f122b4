-- breaker-window.lua: what is counted in closed state, and when it trips.
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
-- `evidence` is { before, after, instance, batch, required }; required is a
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
