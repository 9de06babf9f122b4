/*
 * The breaker, transition by transition. This function is the single source: lua/breaker.lua does the same in Redis, and
 * both pass one suite.
 *
 * CLOSED. Calls flow and instances report what became of them. A report counts when it was made under the current epoch
 * (or under none: by an instance that hasn't heard of any) and wasn't merged before; whatever doesn't count is recorded
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
 * FORCED_OPEN, FORCED_CLOSED. Entered from anywhere by hand, left by hand or when their time is over: → CLOSED. Nothing
 * else changes them.
 *
 * RESET moves any state to CLOSED with nothing counted and no opening remembered.
 *
 * READ leaves no trace where there is nothing to tell: a breaker that nobody has used stays unknown.
 */
import { type Batch, batchOf } from './batch.ts';
import type {
  Action,
  BreakerRecord,
  Command,
  InstanceSeen,
  MachineConfig,
  MachineState,
  OpenReason,
} from './record.ts';
import { clamped, restored } from './restore.ts';
import {
  type Cause,
  closedState,
  flushBacklog,
  recordBatch,
  recordLate,
  result,
  type StepResult,
  transition,
  type Turn,
  unseen,
} from './turn.ts';
import { CALLING_MS, isCalling, judge, quorumOf, withBatch, withoutStale } from './window.ts';

type Of<Kind extends MachineState['kind']> = Extract<MachineState, { kind: Kind }>;
type ActionOf<Type extends Action['type']> = Extract<Action, { type: Type }>;

/** How long instances report quickly after somebody failed, in ms. */
export const ALERT_MS = 5_000;

/** An instance that hasn't reported for this long, in ms, is forgotten; so are its report numbers. */
export const FORGET_MS = 60_000;

/** A sick instance that was silent for longer than this, in ms, has to be heard anew: meanwhile nobody may have got through. */
export const SICK_PAUSE_MS = 5_000;

/** A refused instance asks again after this long at the latest, in ms: probes may be done before they expire. */
export const ASK_AGAIN_MS = 1_000;

/** Carries out a command at a time. Changes nothing but what it returns. */
export function step(before: BreakerRecord | undefined, command: Command, nowMs: number): StepResult {
  const { action } = command;
  if (before === undefined && action.type === 'read' && command.known.epoch === 0) return unseen(command, nowMs);
  const { record, changed } = restored(before, command, nowMs);
  const config = configAfter(record.config, command);
  const turn: Turn = {
    record: clamped({ ...record, config }, nowMs),
    command,
    nowMs,
    events: [],
    publish: changed,
    movedFrom: '',
  };
  passTime(turn);
  switch (action.type) {
    case 'read':
      flushBacklog(turn, false);
      if (action.sick === true) hearSick(turn, action.askedMs ?? 0);
      return result(turn, 'done');
    case 'report':
      return report(turn, action);
    case 'acquire':
      return acquire(turn, action.leaseId);
    case 'settle':
      return settle(turn, action);
    case 'force':
      return force(turn, action);
    default:
      flushBacklog(turn, true);
      transition(turn, closedState(nowMs, 0), { metadata: { reason: 'reset', who: action.who, why: action.why } });
      return result(turn, 'done');
  }
}

/** Of equal versions the caller's that speaks holds; one that only reads changes nothing. */
function configAfter(held: MachineConfig, { action, config }: Command): MachineConfig {
  if (action.type === 'read') return config.version > held.version ? config : held;
  return config.version >= held.version ? config : held;
}

/** What happens by itself: forced states end, leases of dead probers expire, and fewer probes may be enough. */
function passTime(turn: Turn): void {
  const { nowMs } = turn;
  const { state, config } = turn.record;
  if ((state.kind === 'forced_open' || state.kind === 'forced_closed') && state.untilMs > 0 && state.untilMs <= nowMs) {
    transition(turn, closedState(nowMs, 0), { metadata: { reason: 'force_ended' } });
  }
  if (state.kind !== 'half_open') return;
  const leases = state.leases.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
  const expiries = state.expiries + state.leases.length - leases.length;
  turn.record = { ...turn.record, state: { ...state, leases, expiries } };
  if (state.successes >= config.probes) closeAgain(turn, state);
  else if (expiries >= config.maxExpiries) open(turn, 'probes_expired', state.openings, 0, { metadata: { expiries } });
}

function report(turn: Turn, { seq, batch, lateMs }: ActionOf<'report'>): StepResult {
  const { command, nowMs } = turn;
  const { instance, known } = command;
  const { instances, state, epoch, config } = turn.record;
  const seen = instances[instance];
  if (seen !== undefined && seen.calledAtMs > nowMs - FORGET_MS && seq <= seen.seq) return result(turn, 'ignored');
  // Telling late is no call: the time noted is one that doesn't count as calling, which still keeps the number known
  // for FORGET_MS - CALLING_MS.
  const calledAtMs = lateMs === undefined ? nowMs : Math.max(seen?.calledAtMs ?? 0, nowMs - CALLING_MS);
  turn.record = { ...turn.record, instances: withInstance(instances, instance, { seq, calledAtMs }, nowMs) };
  if (lateMs !== undefined) {
    recordLate(turn, batch, lateMs);
    return result(turn, 'done');
  }
  // What counts for nothing has happened all the same: the trail has it.
  recordBatch(turn, batch);
  if (known.epoch !== 0 && known.epoch !== epoch) return result(turn, 'ignored');
  if (state.kind !== 'closed' && state.kind !== 'forced_closed') return result(turn, 'ignored');
  if (state.kind !== 'closed' || !config.trips) return result(turn, 'done');
  count(turn, state, batch);
  return result(turn, 'done');
}

function count(turn: Turn, state: Of<'closed'>, batch: Batch): void {
  const { nowMs } = turn;
  const { instance } = turn.command;
  const { config, instances, alertUntilMs } = turn.record;
  const before = withoutStale(state.window, config, nowMs);
  const after = withBatch(before, config.trip, instance, batch, nowMs);
  const required = quorumOf(config.quorum, instances, nowMs);
  const trip = judge(config.trip, { before, after, instance, batch, required });
  if (trip !== undefined) {
    const { reason, failureCount, calls, rate } = trip;
    const openings = remembered(turn, state);
    const askedMs = reason === 'quota' ? batch.quotaMs : batch.retryAfterMs;
    const metadata = calls > 0 ? { calls, rate } : {};
    open(turn, reason, openings, askedMs, { failureCount, message: batch.samples.at(-1) ?? '', metadata });
    return;
  }
  turn.record = { ...turn.record, state: { ...state, window: after } };
  if (batch.failures + batch.quotas === 0) return;
  if (alertUntilMs <= nowMs) turn.publish = true;
  turn.record = { ...turn.record, alertUntilMs: nowMs + ALERT_MS };
}

/** Of the openings before this closed state, those that aren't forgotten. */
function remembered({ record, nowMs }: Turn, { openings, sinceMs }: Of<'closed'>): number {
  const healthyMs = Math.max(0, nowMs - sinceMs);
  return Math.max(0, openings - Math.floor(healthyMs / record.config.decayMs));
}

/** Time passes while an instance is sick: once nobody else has been calling for long enough, its word is the fleet's. */
function hearSick(turn: Turn, askedMs: number): void {
  const { command, nowMs, record } = turn;
  const { state, config, instances, epoch } = record;
  if (state.kind !== 'closed' || !config.trips || command.known.epoch !== epoch) return;
  const goesOn = state.sickAtMs <= nowMs && state.sickAtMs >= nowMs - SICK_PAUSE_MS;
  const sickSinceMs = goesOn ? state.sickSinceMs : nowMs;
  turn.record = { ...record, state: { ...state, sickSinceMs, sickAtMs: nowMs } };
  if (nowMs - sickSinceMs < CALLING_MS) return;
  if (Object.entries(instances).some(([name, seen]) => name !== command.instance && isCalling(seen, nowMs))) return;
  open(turn, 'sole_caller', remembered(turn, state), askedMs, { failureCount: state.window.run, metadata: {} });
}

function acquire(turn: Turn, leaseId: string): StepResult {
  const { nowMs } = turn;
  const { state } = turn.record;
  switch (state.kind) {
    case 'closed':
    case 'forced_closed':
      return result(turn, 'pass');
    case 'forced_open':
      return result(turn, 'denied', state.untilMs === 0 ? ASK_AGAIN_MS : state.untilMs - nowMs);
    case 'open': {
      if (state.untilMs > nowMs) return result(turn, 'denied', state.untilMs - nowMs);
      const { openings } = state;
      const halfOpen = { kind: 'half_open', sinceMs: nowMs, openings, successes: 0, expiries: 0, leases: [] } as const;
      transition(turn, halfOpen, { metadata: { reason: 'open_time_over' } });
      return lease(turn, halfOpen, leaseId);
    }
    default:
      return lease(turn, state, leaseId);
  }
}

function lease(turn: Turn, state: Of<'half_open'>, leaseId: string): StepResult {
  const { nowMs } = turn;
  const { config } = turn.record;
  if (state.leases.some(({ id }) => id === leaseId)) return result(turn, 'granted');
  if (state.leases.length + state.successes >= config.probes) {
    const first = state.leases[0]?.expiresAtMs ?? nowMs + ASK_AGAIN_MS;
    return result(turn, 'denied', Math.min(ASK_AGAIN_MS, Math.max(1, first - nowMs)));
  }
  const leases = [...state.leases, { id: leaseId, expiresAtMs: nowMs + config.leaseMs }];
  leases.sort((one, other) => one.expiresAtMs - other.expiresAtMs);
  turn.record = { ...turn.record, state: { ...state, leases } };
  return result(turn, 'granted');
}

function settle(turn: Turn, { leaseId, epoch, outcome }: ActionOf<'settle'>): StepResult {
  const { state, config } = turn.record;
  if (state.kind !== 'half_open' || epoch !== turn.record.epoch) return result(turn, 'expired');
  const leases = state.leases.filter(({ id }) => id !== leaseId);
  if (leases.length === state.leases.length) return result(turn, 'expired');
  const successes = state.successes + (outcome.kind === 'success' || outcome.kind === 'answered' ? 1 : 0);
  turn.record = { ...turn.record, state: { ...state, leases, successes, expiries: 0 } };
  recordBatch(turn, batchOf(outcome));
  if (outcome.kind === 'failure' || outcome.kind === 'quota') {
    const reason = outcome.kind === 'quota' ? 'quota' : 'probe_failed';
    open(turn, reason, state.openings, outcome.retryAfterMs, {
      failureCount: 1,
      message: outcome.message,
      metadata: {},
    });
  } else if (successes >= config.probes) closeAgain(turn, { openings: state.openings, successes });
  return result(turn, 'settled');
}

function closeAgain(turn: Turn, { openings, successes }: Pick<Of<'half_open'>, 'openings' | 'successes'>): void {
  const metadata = { reason: 'probes_succeeded', probes: successes };
  transition(turn, closedState(turn.nowMs, openings), { metadata });
}

function force(turn: Turn, { target, forMs, who, why }: ActionOf<'force'>): StepResult {
  const { nowMs } = turn;
  const untilMs = forMs === 0 ? 0 : nowMs + forMs;
  flushBacklog(turn, true);
  const metadata = { reason: 'forced', who, why, untilMs };
  transition(turn, { kind: target, sinceMs: nowMs, untilMs, who, why }, { metadata });
  return result(turn, 'done');
}

/** Opens: for a quota as long as was asked, else for longer with every earlier opening in a row. */
function open(turn: Turn, reason: OpenReason, earlier: number, askedMs: number, cause: Cause): void {
  const { nowMs } = turn;
  const isQuota = reason === 'quota';
  const openForMs = isQuota ? askedMs : drawnMs(turn, earlier, askedMs);
  flushBacklog(turn, true);
  const metadata = { ...cause.metadata, reason, openForMs };
  const openings = isQuota ? earlier : earlier + 1;
  transition(
    turn,
    { kind: 'open', sinceMs: nowMs, untilMs: nowMs + openForMs, openings, reason },
    { ...cause, metadata },
  );
}

function drawnMs({ record, command }: Turn, earlier: number, askedMs: number): number {
  const { openMs, maxOpenMs, backoff } = record.config;
  const ceilingMs = Math.min(maxOpenMs, openMs * backoff ** earlier);
  return Math.max(openMs + Math.floor(command.random * (ceilingMs - openMs)), Math.min(askedMs, maxOpenMs));
}

function withInstance(
  instances: BreakerRecord['instances'],
  instance: string,
  seen: InstanceSeen,
  nowMs: number,
): BreakerRecord['instances'] {
  const recent = Object.entries(instances).filter(([, { calledAtMs }]) => calledAtMs > nowMs - FORGET_MS);
  return { ...Object.fromEntries(recent), [instance]: seen };
}
