import type { Batch } from './batch.ts';
import {
  type AuditEvent,
  type BreakerRecord,
  type Command,
  unknownView,
  type MachineState,
  type Reply,
  type Verdict,
  type View,
} from './record.ts';
import { emptyWindow } from './window.ts';

/** One command being carried out. */
export interface StepContext {
  record: BreakerRecord;
  readonly command: Command;
  readonly nowMs: number;
  readonly events: AuditEvent[];
  /** Whether the new state is published to all instances. */
  publish: boolean;
  movedFrom: Reply['movedFrom'];
}

/** What a command comes to. */
export interface StepResult {
  /** Undefined: there is nothing to keep. */
  readonly record: BreakerRecord | undefined;
  readonly reply: Reply;
  readonly events: readonly AuditEvent[];
  readonly publish: boolean;
}

/** Why and by whom, for the trail. */
export interface Cause {
  readonly failureCount?: number;
  readonly message?: string;
  readonly metadata: AuditEvent['metadata'];
}

/** What a state is called in the trail. */
const EVENT_TYPES = {
  closed: 'closed',
  open: 'opened',
  half_open: 'half_open',
  forced_open: 'opened',
  forced_closed: 'closed',
} as const;

/** Moves the breaker to a state: a new epoch, an event, and a publication to all instances. */
export function transition(context: StepContext, state: MachineState, cause: Cause): void {
  const { record, nowMs } = context;
  const epoch = Math.max(nowMs, record.epoch + 1);
  if (context.movedFrom === '') context.movedFrom = record.state.kind;
  context.record = { ...record, epoch, seeded: false, state, alertUntilMs: 0 };
  emit(context, EVENT_TYPES[state.kind], cause);
  context.publish = true;
}

/** Adds an event to the trail. */
function emit(
  context: StepContext,
  type: AuditEvent['type'],
  { failureCount = 0, message = '', metadata }: Cause,
): void {
  const { config, epoch } = context.record;
  const { instance } = context.command;
  context.events.push({
    type,
    epoch,
    failureCount,
    message,
    metadata: { ...metadata, instance, version: config.version },
  });
}

/** A closed state in which nothing has been counted. */
export function closedState(nowMs: number, openings: number): MachineState {
  return { kind: 'closed', sinceMs: nowMs, openings, window: emptyWindow, sickSinceMs: 0, sickAtMs: 0 };
}

/** The part of the record that instances get. */
function viewOf({ epoch, seeded, state, alertUntilMs }: BreakerRecord, nowMs: number): View {
  const { kind, sinceMs } = state;
  const nothing = { untilMs: 0, openings: 0, reason: '', who: '', why: '' } as const;
  const bare = { epoch, seeded, kind, sinceMs, ...nothing, alertUntilMs, nowMs };
  switch (state.kind) {
    case 'closed':
    case 'half_open':
      return { ...bare, openings: state.openings };
    case 'open':
      return { ...bare, untilMs: state.untilMs, openings: state.openings, reason: state.reason };
    default:
      return { ...bare, untilMs: state.untilMs, who: state.who, why: state.why };
  }
}

/** Completes a command with a verdict. */
export function result(
  { record, command, nowMs, events, publish, movedFrom }: StepContext,
  verdict: Verdict,
  retryAfterMs = 0,
): StepResult {
  const config = record.config.version > command.config.version ? record.config : command.config;
  const reply: Reply = { verdict, retryAfterMs, movedFrom, view: viewOf(record, nowMs), config };
  return { record, reply, events, publish };
}

/** The answer for a breaker that was never used. */
export function unseen({ config }: Command, nowMs: number): StepResult {
  const view = { ...unknownView, nowMs };
  const reply: Reply = { verdict: 'done', retryAfterMs: 0, movedFrom: '', view, config };
  return { record: undefined, reply, events: [], publish: false };
}

/** Failures of a second that become an event each; the others become one together. */
const FAILURE_EVENTS_PER_SECOND = 10;

const SECOND_MS = 1_000;
const SUMMARY_MS = 10_000;

/** Records what a batch brought, as far as the config asks for it. */
export function recordBatch(context: StepContext, batch: Batch): void {
  flushBacklog(context, false);
  const { config } = context.record;
  if (config.recordFailures) recordFailures(context, batch.failures + batch.quotas, batch.samples);
  if (config.recordSuccesses) recordSuccesses(context, batch.successes);
}

/** Emits failures that were held back, once their second has passed, or at once if `now` is true. */
export function flushBacklog(context: StepContext, now: boolean): void {
  const { audit } = context.record;
  const over = context.nowMs - audit.secondMs >= SECOND_MS || context.nowMs < audit.secondMs;
  if (audit.failures > 0 && (over || now)) {
    emit(context, 'failure', { failureCount: audit.failures, message: audit.message, metadata: { coalesced: 1 } });
    context.record = { ...context.record, audit: { ...audit, failures: 0, message: '' } };
  }
}

/** Records what came too late to count, `lateMs` after the first of it: one event for all failures. */
export function recordLate(context: StepContext, batch: Batch, lateMs: number): void {
  const { recordFailures: tells, recordSuccesses: sums } = context.record.config;
  const failureCount = batch.failures + batch.quotas;
  const message = batch.samples.at(-1) ?? '';
  if (tells && failureCount > 0) emit(context, 'failure', { failureCount, message, metadata: { lateMs } });
  if (sums) recordSuccesses(context, batch.successes);
}

function recordFailures(context: StepContext, count: number, samples: readonly string[]): void {
  if (count === 0) return;
  const { audit } = context.record;
  const over = context.nowMs - audit.secondMs >= SECOND_MS || context.nowMs < audit.secondMs;
  const emitted = over ? 0 : audit.emitted;
  const single = Math.min(count, FAILURE_EVENTS_PER_SECOND - emitted);
  const last = samples.at(-1) ?? '';
  for (let index = 0; index < single; index += 1) {
    emit(context, 'failure', { failureCount: 1, message: samples[index] ?? last, metadata: {} });
  }
  context.record = {
    ...context.record,
    audit: {
      ...audit,
      secondMs: over ? context.nowMs : audit.secondMs,
      emitted: emitted + single,
      failures: audit.failures + count - single,
      message: count > single ? last : audit.message,
    },
  };
}

function recordSuccesses(context: StepContext, count: number): void {
  const { audit } = context.record;
  const successes = audit.successes + count;
  if (successes > 0 && context.nowMs - audit.successesAtMs >= SUMMARY_MS) {
    emit(context, 'success', { metadata: { count: successes } });
    context.record = { ...context.record, audit: { ...audit, successes: 0, successesAtMs: context.nowMs } };
  } else {
    context.record = { ...context.record, audit: { ...audit, successes } };
  }
}
