import type { Batch } from './batch.ts';
import type { BreakerRecord, Bucket, InstanceSeen, MachineConfig, OpenReason, TripConfig, Window } from './record.ts';

/** An instance that has reported a call within this time, in ms, is calling. */
export const CALLING_MS = 10_000;

/** An instance that hasn't reported for this long, in ms, is forgotten; so are its report numbers. */
export const FORGET_MS = 60_000;

/** A window is kept in so many buckets: the oldest calls leave a tenth at a time. */
const BUCKETS = 10;

/** Nothing counted. */
export const emptyWindow: Window = { run: 0, runAtMs: 0, runBy: {}, buckets: [], guiltBy: {}, quota: {} };

/** Why the breaker must open, and by which counts. */
export interface Trip {
  readonly reason: OpenReason;
  readonly failureCount: number;
  /** Calls in the window, and the share that tripped; 0 where no share did. */
  readonly calls: number;
  readonly rate: number;
}

/** What there is to judge: the window before a batch, after it, and the batch. */
interface Evidence {
  readonly before: Window;
  readonly after: Window;
  readonly instance: string;
  readonly batch: Batch;
  /** How many instances must have seen failures. */
  readonly required: number;
}

/** A window without what is too old to count. */
export function withoutStale(window: Window, { trip }: MachineConfig, nowMs: number): Window {
  const running = window.run > 0 && window.runAtMs > nowMs - trip.forgetMs;
  const since = nowMs - trip.staleMs;
  return {
    run: running ? window.run : 0,
    runAtMs: running ? window.runAtMs : 0,
    runBy: running ? window.runBy : {},
    buckets: window.buckets.filter(({ atMs }) => atMs > since),
    guiltBy: newerThan(window.guiltBy, since),
    quota: newerThan(window.quota, nowMs),
  };
}

/** A window with a batch more. */
export function withBatch(before: Window, trip: TripConfig, instance: string, batch: Batch, nowMs: number): Window {
  const { successes, failures, slow, trailingFailures, quotaMs } = batch;
  const here = { [instance]: nowMs };
  const broken = successes > 0;
  return {
    run: broken ? trailingFailures : before.run + trailingFailures,
    runAtMs: trailingFailures > 0 ? nowMs : broken ? 0 : before.runAtMs,
    runBy: { ...(broken ? {} : before.runBy), ...(trailingFailures > 0 ? here : {}) },
    buckets: trip.size > 0 && successes + failures > 0 ? withCalls(before.buckets, trip, batch, nowMs) : before.buckets,
    guiltBy: trip.size > 0 && failures + slow > 0 ? { ...before.guiltBy, ...here } : before.guiltBy,
    quota: quotaMs > 0 ? { ...before.quota, [instance]: nowMs + quotaMs } : before.quota,
  };
}

/** Whether an instance has reported a call lately. */
export function isCalling({ calledAtMs }: InstanceSeen, nowMs: number): boolean {
  return calledAtMs > nowMs - CALLING_MS;
}

/** The instances with one that was seen now, without those that were forgotten. */
export function withInstance(
  instances: BreakerRecord['instances'],
  instance: string,
  seen: InstanceSeen,
  nowMs: number,
): BreakerRecord['instances'] {
  const recent = Object.entries(instances).filter(([, { calledAtMs }]) => calledAtMs > nowMs - FORGET_MS);
  return { ...Object.fromEntries(recent), [instance]: seen };
}

/** Instances whose evidence it takes, of those that are calling now. */
export function quorumOf(quorum: number, instances: Readonly<Record<string, InstanceSeen>>, nowMs: number): number {
  const calling = Object.values(instances).filter((seen) => isCalling(seen, nowMs)).length;
  return Math.max(1, quorum < 1 ? Math.ceil(quorum * calling) : Math.min(quorum, calling));
}

/** Whether what was counted trips the breaker. Only a batch that brings a failure, a slow call or a quota can. */
export function findTrip(trip: TripConfig, evidence: Evidence): Trip | undefined {
  const { after, batch, required } = evidence;
  if (batch.quotaMs > 0 && Object.keys(after.quota).length >= required) {
    return { reason: 'quota', failureCount: batch.quotas, calls: 0, rate: 0 };
  }
  if (batch.failures + batch.slow === 0) return undefined;
  return tripOfRun(trip, evidence) ?? tripOfShares(trip, evidence);
}

/** A run may cross the threshold at the batch's beginning or, on this instance's word alone, inside it. */
function tripOfRun(trip: TripConfig, { before, instance, batch, required }: Evidence): Trip | undefined {
  if (trip.failures === 0 || batch.failures === 0) return undefined;
  const witnesses = new Set([...Object.keys(before.runBy), instance]).size;
  const across = batch.leadingFailures > 0 && witnesses >= required ? before.run + batch.leadingFailures : 0;
  const reached = Math.max(across, required <= 1 ? batch.longestRun : 0);
  return reached >= trip.failures ? { reason: 'failures', failureCount: reached, calls: 0, rate: 0 } : undefined;
}

function tripOfShares(trip: TripConfig, { after, required }: Evidence): Trip | undefined {
  const calls = sum(after.buckets, 'calls');
  if (trip.size === 0 || calls < trip.minimumCalls) return undefined;
  if (Object.keys(after.guiltBy).length < required) return undefined;
  const failureCount = sum(after.buckets, 'failures');
  const failureRate = failureCount / calls;
  if (failureRate >= trip.failureRate)
    return { reason: 'failure_rate', failureCount, calls, rate: rounded(failureRate) };
  const slowRate = sum(after.buckets, 'slow') / calls;
  return slowRate >= trip.slowRate ? { reason: 'slow_rate', failureCount, calls, rate: rounded(slowRate) } : undefined;
}

function withCalls(buckets: readonly Bucket[], trip: TripConfig, batch: Batch, nowMs: number): readonly Bucket[] {
  const calls = batch.successes + batch.failures;
  const { failures, slow } = batch;
  const last = buckets.at(-1);
  const share = trip.size / BUCKETS;
  const fits = last !== undefined && (trip.over === 'time' ? nowMs - last.atMs < share : last.calls < share);
  if (!fits) return withoutSurplus([...buckets, { atMs: nowMs, calls, failures, slow }], trip);
  const joined = {
    // A count's bucket is as old as its newest call, a time's as its oldest.
    atMs: trip.over === 'time' ? last.atMs : nowMs,
    calls: last.calls + calls,
    failures: last.failures + failures,
    slow: last.slow + slow,
  };
  return withoutSurplus([...buckets.slice(0, -1), joined], trip);
}

/** Of a count, the oldest buckets leave as long as enough calls remain. */
function withoutSurplus(buckets: readonly Bucket[], trip: TripConfig): readonly Bucket[] {
  if (trip.over === 'time') return buckets;
  let kept = buckets;
  let calls = sum(kept, 'calls');
  for (let first = kept[0]; first !== undefined && calls - first.calls >= trip.size; first = kept[0]) {
    calls -= first.calls;
    kept = kept.slice(1);
  }
  return kept;
}

function sum(buckets: readonly Bucket[], field: 'calls' | 'failures' | 'slow'): number {
  return buckets.reduce((total, bucket) => total + bucket[field], 0);
}

function newerThan(times: Readonly<Record<string, number>>, sinceMs: number): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(times).filter(([, atMs]) => atMs > sinceMs));
}

/** Four digits are enough to read, and come the same from every store. */
function rounded(share: number): number {
  return Math.floor(share * 10_000 + 0.5) / 10_000;
}
