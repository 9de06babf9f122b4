/*
 * The breaker, transition by transition. This function is the single source: lua/breaker.lua does the same in Redis, and
 * both pass one suite.
 *
 * CLOSED. Calls flow and instances report what became of them. A report counts when it was made under the current epoch
 * (or under none: by an instance that knows no epoch yet) and wasn't merged before; outcomes that don't count are recorded
 * in the trail still. It trips the breaker when the window
 * says so and enough instances have seen failures: CLOSED → OPEN. Otherwise, if it brought failures, all instances are
 * alerted, so that those with successes report them soon.
 * An instance whose own breaker has cut it off calls no more, so it has nothing to report; it says that it is sick instead.
 * When it has been saying so for `CALLING_MS` and none but it has reported a call for as long: CLOSED → OPEN.
 *
 * OPEN. Calls are refused until `untilMs`. The first open time is `openMs`; each opening in a row raises the ceiling by
 * `backoff` up to `maxOpenMs`, and the time is drawn between `openMs` and the ceiling. A failing provider's Retry-After
 * lengthens it up to `maxOpenMs`. An exhausted quota opens for just the time that the provider asks for, and is no opening
 * that lengthens later ones. Reports change nothing. The first instance that asks for leave afterwards moves OPEN →
 * HALF_OPEN.
 *
 * HALF_OPEN. At most `probes` leases live, less one for each probe that succeeded already. A success counts, and so does
 * the answer to a wrong request, for a healthy dependency gave it; the last one needed moves HALF_OPEN → CLOSED. A config
 * with fewer probes may make enough of those that succeeded already: then any command does. A failure, or a quota refusal,
 * moves HALF_OPEN → OPEN. A neutral outcome frees its
 * lease. A lease that expires does too; `maxExpiries` of them in a row move HALF_OPEN → OPEN. Only live leases of
 * the current epoch can be settled.
 *
 * An opening that a config which never trips finds, and that none has asked to leave for `FORGET_MS`, is over: OPEN or
 * HALF_OPEN → CLOSED. Instances with such a config ask for nothing, so it would stand in the record for ever. While others
 * still enforce, they ask.
 *
 * FORCED_OPEN, FORCED_CLOSED. Entered from anywhere by hand, left by hand or when their time is over: → CLOSED. Nothing
 * else changes them.
 *
 * RESET moves any state to CLOSED with nothing counted and no opening remembered.
 *
 * READ leaves no trace if there is no record: an unused breaker stays unknown.
 */
import { type Batch, batchOf } from './batch.ts';
import type { Action, BreakerRecord, Command, MachineConfig, MachineState, OpenReason } from './record.ts';
import { clampToClock, recoverRecord } from './restore.ts';
import {
  type Cause,
  closedState,
  flushBacklog,
  recordBatch,
  recordLate,
  result,
  type StepResult,
  transition,
  type StepContext,
  unseen,
} from './step-context.ts';
import {
  CALLING_MS,
  findTrip,
  FORGET_MS,
  isCalling,
  quorumOf,
  withBatch,
  withInstance,
  withoutStale,
} from './window.ts';

type Of<Kind extends MachineState['kind']> = Extract<MachineState, { kind: Kind }>;
type ActionOf<Type extends Action['type']> = Extract<Action, { type: Type }>;

/** How long instances report quickly after a failure of any instance, in ms. */
const ALERT_MS = 5_000;

/** After a silence of more than this, in ms, a sick instance must report again: meanwhile no instance may have reached the store. */
const SICK_PAUSE_MS = 5_000;

/** A refused instance asks again after this long at the latest, in ms: probes may be done before they expire. */
export const ASK_AGAIN_MS = 1_000;

/** Carries out a command at a time. Changes nothing but what it returns. */
export function step(before: BreakerRecord | undefined, command: Command, nowMs: number): StepResult {
  const { action } = command;
  if (before === undefined && action.type === 'read' && command.known.epoch === 0) return unseen(command, nowMs);
  const { record, changed } = recoverRecord(before, command, nowMs);
  const config = configAfter(record.config, command);
  const context: StepContext = {
    record: clampToClock({ ...record, config }, nowMs),
    command,
    nowMs,
    events: [],
    publish: changed,
    movedFrom: '',
  };
  passTime(context);
  switch (action.type) {
    case 'read':
      flushBacklog(context, false);
      if (action.sick === true) countSick(context, action.askedMs ?? 0);
      return result(context, 'done');
    case 'report':
      return report(context, action);
    case 'acquire':
      return acquire(context, action.leaseId);
    case 'settle':
      return settle(context, action);
    case 'force':
      return force(context, action);
    default:
      flushBacklog(context, true);
      transition(context, closedState(nowMs, 0), { metadata: { reason: 'reset', who: action.who, why: action.why } });
      return result(context, 'done');
  }
}

/** Of equal versions the caller's that speaks holds; one that only reads changes nothing. */
function configAfter(held: MachineConfig, { action, config }: Command): MachineConfig {
  if (action.type === 'read') return config.version > held.version ? config : held;
  return config.version >= held.version ? config : held;
}

/** What happens by itself: forced states end, leases of dead probers expire, fewer probes may be enough, and an opening may be left. */
function passTime(context: StepContext): void {
  const { nowMs } = context;
  const { state, config } = context.record;
  if ((state.kind === 'forced_open' || state.kind === 'forced_closed') && state.untilMs > 0 && state.untilMs <= nowMs) {
    transition(context, closedState(nowMs, 0), { metadata: { reason: 'force_ended' } });
    return;
  }
  if (state.kind === 'half_open') {
    const leases = state.leases.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
    const expiries = state.expiries + state.leases.length - leases.length;
    context.record = { ...context.record, state: { ...state, leases, expiries } };
    if (state.successes >= config.probes) closeAgain(context, state);
    else if (expiries >= config.maxExpiries)
      open(context, 'probes_expired', state.openings, 0, { metadata: { expiries } });
  }
  const { state: now } = context.record;
  if (!config.trips && isLeft(now, nowMs)) {
    transition(context, closedState(nowMs, now.openings), { metadata: { reason: 'metrics_only' } });
  }
}

/** Whether no instance that refuses calls has asked for leave for `FORGET_MS`. */
function isLeft(state: MachineState, nowMs: number): state is Of<'open'> | Of<'half_open'> {
  if (state.kind === 'open') return state.untilMs <= nowMs - FORGET_MS;
  return state.kind === 'half_open' && state.leases.length === 0 && state.sinceMs <= nowMs - FORGET_MS;
}

function report(context: StepContext, { seq, batch, lateMs }: ActionOf<'report'>): StepResult {
  const { command, nowMs } = context;
  const { instance, known } = command;
  const { instances, state, epoch, config } = context.record;
  const seen = instances[instance];
  if (seen !== undefined && seen.calledAtMs > nowMs - FORGET_MS && seq <= seen.seq) return result(context, 'ignored');
  // Telling late is no call: the time noted is one that doesn't count as calling, which still keeps the number known
  // for FORGET_MS - CALLING_MS.
  const calledAtMs = lateMs === undefined ? nowMs : Math.max(seen?.calledAtMs ?? 0, nowMs - CALLING_MS);
  context.record = { ...context.record, instances: withInstance(instances, instance, { seq, calledAtMs }, nowMs) };
  if (lateMs !== undefined) {
    recordLate(context, batch, lateMs);
    return result(context, 'done');
  }
  // What counts for nothing has happened all the same: the trail has it.
  recordBatch(context, batch);
  if (known.epoch !== 0 && known.epoch !== epoch) return result(context, 'ignored');
  if (state.kind !== 'closed' && state.kind !== 'forced_closed') return result(context, 'ignored');
  if (state.kind !== 'closed' || !config.trips) return result(context, 'done');
  count(context, state, batch);
  return result(context, 'done');
}

function count(context: StepContext, state: Of<'closed'>, batch: Batch): void {
  const { nowMs } = context;
  const { instance } = context.command;
  const { config, instances, alertUntilMs } = context.record;
  const before = withoutStale(state.window, config, nowMs);
  const after = withBatch(before, config.trip, instance, batch, nowMs);
  const required = quorumOf(config.quorum, instances, nowMs);
  const trip = findTrip(config.trip, { before, after, instance, batch, required });
  if (trip !== undefined) {
    const { reason, failureCount, calls, rate } = trip;
    const openings = remembered(context, state);
    const askedMs = reason === 'quota' ? batch.quotaMs : batch.retryAfterMs;
    const metadata = calls > 0 ? { calls, rate } : {};
    open(context, reason, openings, askedMs, { failureCount, message: batch.samples.at(-1) ?? '', metadata });
    return;
  }
  context.record = { ...context.record, state: { ...state, window: after } };
  if (batch.failures + batch.quotas === 0) return;
  if (alertUntilMs <= nowMs) context.publish = true;
  context.record = { ...context.record, alertUntilMs: nowMs + ALERT_MS };
}

/** Of the openings before this closed state, those that aren't forgotten. */
function remembered({ record, nowMs }: StepContext, { openings, sinceMs }: Of<'closed'>): number {
  const healthyMs = Math.max(0, nowMs - sinceMs);
  return Math.max(0, openings - Math.floor(healthyMs / record.config.decayMs));
}

/** Counts a report of a sick instance: once no other instance has made calls for long enough, it opens the fleet's breaker. */
function countSick(context: StepContext, askedMs: number): void {
  const { command, nowMs, record } = context;
  const { state, config, instances, epoch } = record;
  if (state.kind !== 'closed' || !config.trips || command.known.epoch !== epoch) return;
  const goesOn = state.sickAtMs <= nowMs && state.sickAtMs >= nowMs - SICK_PAUSE_MS;
  const sickSinceMs = goesOn ? state.sickSinceMs : nowMs;
  context.record = { ...record, state: { ...state, sickSinceMs, sickAtMs: nowMs } };
  if (nowMs - sickSinceMs < CALLING_MS) return;
  if (Object.entries(instances).some(([name, seen]) => name !== command.instance && isCalling(seen, nowMs))) return;
  open(context, 'sole_caller', remembered(context, state), askedMs, { failureCount: state.window.run, metadata: {} });
}

function acquire(context: StepContext, leaseId: string): StepResult {
  const { nowMs } = context;
  const { state } = context.record;
  switch (state.kind) {
    case 'closed':
    case 'forced_closed':
      return result(context, 'pass');
    case 'forced_open':
      return result(context, 'denied', state.untilMs === 0 ? ASK_AGAIN_MS : state.untilMs - nowMs);
    case 'open': {
      if (state.untilMs > nowMs) return result(context, 'denied', state.untilMs - nowMs);
      const { openings } = state;
      const halfOpen = { kind: 'half_open', sinceMs: nowMs, openings, successes: 0, expiries: 0, leases: [] } as const;
      transition(context, halfOpen, { metadata: { reason: 'open_time_over' } });
      return lease(context, halfOpen, leaseId);
    }
    default:
      return lease(context, state, leaseId);
  }
}

function lease(context: StepContext, state: Of<'half_open'>, leaseId: string): StepResult {
  const { nowMs } = context;
  const { config } = context.record;
  if (state.leases.some(({ id }) => id === leaseId)) return result(context, 'granted');
  if (state.leases.length + state.successes >= config.probes) {
    const first = state.leases[0]?.expiresAtMs ?? nowMs + ASK_AGAIN_MS;
    return result(context, 'denied', Math.min(ASK_AGAIN_MS, first - nowMs));
  }
  const leases = [...state.leases, { id: leaseId, expiresAtMs: nowMs + config.leaseMs }];
  leases.sort((one, other) => one.expiresAtMs - other.expiresAtMs);
  context.record = { ...context.record, state: { ...state, leases } };
  return result(context, 'granted');
}

function settle(context: StepContext, { leaseId, epoch, outcome }: ActionOf<'settle'>): StepResult {
  const { state, config } = context.record;
  if (state.kind !== 'half_open' || epoch !== context.record.epoch) return result(context, 'expired');
  const leases = state.leases.filter(({ id }) => id !== leaseId);
  if (leases.length === state.leases.length) return result(context, 'expired');
  const successes = state.successes + (outcome.kind === 'success' || outcome.kind === 'answered' ? 1 : 0);
  context.record = { ...context.record, state: { ...state, leases, successes, expiries: 0 } };
  recordBatch(context, batchOf(outcome));
  if (outcome.kind === 'failure' || outcome.kind === 'quota') {
    const reason = outcome.kind === 'quota' ? 'quota' : 'probe_failed';
    open(context, reason, state.openings, outcome.retryAfterMs, {
      failureCount: 1,
      message: outcome.message,
      metadata: {},
    });
  } else if (successes >= config.probes) closeAgain(context, { openings: state.openings, successes });
  return result(context, 'settled');
}

function closeAgain(
  context: StepContext,
  { openings, successes }: Pick<Of<'half_open'>, 'openings' | 'successes'>,
): void {
  const metadata = { reason: 'probes_succeeded', probes: successes };
  transition(context, closedState(context.nowMs, openings), { metadata });
}

function force(context: StepContext, { target, forMs, who, why }: ActionOf<'force'>): StepResult {
  const { nowMs } = context;
  const untilMs = forMs === 0 ? 0 : nowMs + forMs;
  flushBacklog(context, true);
  const metadata = { reason: 'forced', who, why, untilMs };
  transition(context, { kind: target, sinceMs: nowMs, untilMs, who, why }, { metadata });
  return result(context, 'done');
}

/** Opens: for a quota as long as was asked, else for longer with every earlier opening in a row. */
function open(context: StepContext, reason: OpenReason, earlier: number, askedMs: number, cause: Cause): void {
  const { nowMs } = context;
  const isQuota = reason === 'quota';
  const openForMs = isQuota ? askedMs : drawnMs(context, earlier, askedMs);
  flushBacklog(context, true);
  const metadata = { ...cause.metadata, reason, openForMs };
  const openings = isQuota ? earlier : earlier + 1;
  transition(
    context,
    { kind: 'open', sinceMs: nowMs, untilMs: nowMs + openForMs, openings, reason },
    { ...cause, metadata },
  );
}

function drawnMs({ record, command }: StepContext, earlier: number, askedMs: number): number {
  const { openMs, maxOpenMs, backoff } = record.config;
  const ceilingMs = Math.min(maxOpenMs, openMs * backoff ** earlier);
  return Math.max(openMs + Math.floor(command.random * (ceilingMs - openMs)), Math.min(askedMs, maxOpenMs));
}
