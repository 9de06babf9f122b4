import { batchOf } from '../machine/batch.ts';
import type { Action, MachineConfig, Reply, View } from '../machine/record.ts';
import { guarded } from '../outcome/classify.ts';
import type { Outcome } from '../outcome/outcome.ts';
import { machineConfig } from '../presets/machine-config.ts';
import type { Preset } from '../presets/preset.ts';
import { type BreakerId, StoreUnavailableError } from '../store/store.ts';
import { Admission } from './admission.ts';
import { FleetView } from './fleet-view.ts';
import { type Counter, Generation, OutcomeCounter } from './counting.ts';
import { probeOutcome } from './local-breaker.ts';
import { Reports, type Urgency } from './reports.ts';
import type { EngineOptions } from './types.ts';

/** A person's change. */
export type ManualAction = Extract<Action, { type: 'force' | 'reset' }>;

/** Without a call for so long, in ms, an instance has no say in what the fleet does. */
const SILENT_AFTER_MS = 10_000;

/**
 * This process as a member of the fleet of one breaker: counts what its calls came to, reports that to the store, and takes
 * what the store answers. All commands leave by `#send`, and what changes by an answer changes there, at once.
 */
export class FleetMember implements Counter {
  readonly id: BreakerId;
  readonly fleet: FleetView;
  readonly admission: Admission;
  readonly classifier: Preset['classifier'];
  readonly slowMs: number;
  readonly onCall: Counter['onCall'];
  /** The calls that begin now. */
  generation: Generation;
  /** Whether the store doesn't answer. */
  isStale = false;
  /** It sends and takes nothing more. */
  isClosed = false;
  /** When the store last answered, in ms of the monotonic clock. */
  lastNewsMs: number = -Infinity;
  /** A call was made; {@link idleMs} takes note of it. */
  isUsed = true;
  readonly #options: EngineOptions;
  readonly #config: MachineConfig;
  readonly #reports: Reports;
  readonly #outcomes = new OutcomeCounter();
  #usedMs: number;
  #timer: { readonly dueMs: number; readonly cancel: () => void } | undefined;
  #flight: Promise<void> | undefined;
  #reading: Promise<void> | undefined;
  /** A read was asked for while another was under way, whose answer may be older than what prompted the second. */
  #readsAgain = false;

  constructor(options: EngineOptions) {
    const { id, preset, runtime, events } = options;
    this.#options = options;
    this.id = id;
    this.classifier = guarded(preset.classifier);
    this.slowMs = preset.slowCalls?.durationMs ?? Infinity;
    this.onCall = events.call;
    this.#config = machineConfig(preset);
    this.fleet = new FleetView(this.#config, runtime);
    this.admission = new Admission({ preset, runtime, fleet: this.fleet, events });
    this.#reports = new Reports(this.fleet, runtime);
    this.generation = new Generation(this, preset.timeoutMs);
    this.#usedMs = runtime.now();
  }

  /** What the store said last. */
  get view(): View {
    return this.fleet.current;
  }

  /** For how long no call was made, in ms; coarse. */
  get idleMs(): number {
    const nowMs = this.now();
    if (this.isUsed) this.#usedMs = nowMs;
    this.isUsed = false;
    return nowMs - this.#usedMs;
  }

  /** Whether this instance refuses calls, which are still made, while the fleet is well: the store knows if it is the only one. */
  get #isSick(): boolean {
    return this.view.kind === 'closed' && this.admission.isSick && this.idleMs < SILENT_AFTER_MS;
  }

  /** Whether the store has to be read even if it has no news. */
  get mustRead(): boolean {
    return this.fleet.mustRead || this.#isSick;
  }

  now(): number {
    return this.#options.runtime.now();
  }

  /** A call of the current generation went well. */
  succeeded(slow: boolean): void {
    this.#outcomes.success();
    if (this.#timer === undefined) this.#hasten(this.fleet.isAlerted ? 'alerted' : 'calm');
    if (!slow) return;
    this.#outcomes.wasSlow();
    this.#flushCounts();
  }

  /** A call of the current generation ended otherwise. */
  failed(outcome: Outcome, slow: boolean): void {
    if (this.#outcomes.add(outcome, slow)) this.#flushCounts();
  }

  /** A call ended that counts for nothing. */
  late(outcome: Outcome): void {
    this.#reports.addLate(batchOf(probeOutcome(outcome)));
    this.#schedule();
  }

  /** A call was refused. */
  refused(): void {
    this.onCall?.('refused', 0);
    if (this.isStale) this.#options.events.decidedLocally('refused', 1);
  }

  /** Reports what there is to report, unless a report is on its way: its arrival sees to the rest. */
  flush(): Promise<void> {
    this.#flushCounts();
    this.#flight ??= this.#report().finally(() => (this.#flight = undefined));
    return this.#flight;
  }

  /** Reports all, as far as the store answers. */
  async drain(): Promise<void> {
    this.#flushCounts();
    for (let left = 3; left > 0 && !this.#reports.isEmpty; left -= 1) await this.flush();
  }

  async #report(): Promise<void> {
    const { runtime, events } = this.#options;
    const report = this.#reports.next(this.admission.isTripped);
    this.#schedule();
    if (report === undefined) return;
    const { seq, batch, sinceMs } = report;
    const startedMs = runtime.now();
    const lateMs = report.isLate ? { lateMs: Math.max(0, Math.round(startedMs - sinceMs)) } : {};
    const reply = await this.trySend({ type: 'report', seq, batch, ...lateMs });
    if (typeof reply === 'string') this.#reports.failed(report, reply === 'unanswered', this.admission.isTripped);
    else {
      this.#reports.arrived();
      events.flush({ durationMs: runtime.now() - startedMs, size: batch.successes + batch.failures + batch.quotas });
    }
    this.#schedule();
  }

  /** Reads the store's view as it is now. */
  async read(): Promise<void> {
    this.#readsAgain = this.#reading !== undefined;
    this.#reading ??= this.#readAll();
    await this.#reading;
  }

  async #readAll(): Promise<void> {
    try {
      do {
        this.#readsAgain = false;
        if (this.isClosed) return;
        const { askedMs } = this.admission;
        await this.trySend(this.#isSick ? { type: 'read', sick: true, askedMs } : { type: 'read' });
      } while (this.#readsAgain && !this.isStale);
    } finally {
      // In the same step as the last look at whether to read again.
      this.#reading = undefined;
    }
  }

  /** A poll was answered for this breaker. `changed`: the store may know something else. */
  polled(changed: boolean): void {
    if (this.isStale) void this.flush();
    if (changed || this.isStale) void this.read();
    else this.lastNewsMs = this.now();
  }

  /** A poll was not answered for this breaker. */
  lost(): void {
    this.#setStale(true);
  }

  /** Takes a view that was announced. */
  applyView(view: View): void {
    if (this.fleet.isDoubtful(view)) void this.read();
    else this.#take(view);
    if (this.fleet.isAlerted && this.#timer !== undefined) this.#hasten('alerted');
  }

  /** Carries out a person's change. @throws {StoreUnavailableError} */
  async command(action: ManualAction): Promise<void> {
    if (this.isClosed) throw new StoreUnavailableError('the breakers are closed', false);
    await this.#send(action);
    this.#beginGeneration();
    this.admission.reset();
  }

  /** Stops the timer, sends and takes nothing more: calls go on by what this process sees itself. */
  stop(): void {
    this.isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.admission.setStale(true);
  }

  /** Sends a command, and takes its answer. @returns the answer, or whether the command may have reached the store */
  async trySend(action: Action): Promise<Reply | 'unsent' | 'unanswered'> {
    try {
      return await this.#send(action);
    } catch (error) {
      this.#setStale(true);
      return error instanceof StoreUnavailableError && !error.sent ? 'unsent' : 'unanswered';
    }
  }

  /** The only way to the store and back. @throws {StoreUnavailableError} */
  async #send(action: Action): Promise<Reply> {
    const { store, id, instance, runtime } = this.#options;
    const command = { instance, config: this.#config, known: this.view, random: runtime.random(), action };
    const reply = await store.execute(id, command);
    this.fleet.wasAnswered(action);
    if (!this.isClosed) this.#took(reply);
    return reply;
  }

  #took({ view, config, movedFrom }: Reply): void {
    this.lastNewsMs = this.now();
    if (config.version !== this.fleet.config.version) {
      this.fleet.config = config;
      this.admission.configure(config);
    }
    if (movedFrom !== '') this.#options.events.transition(movedFrom, view.kind, view.reason);
    this.#take(view);
    this.#setStale(false);
  }

  #take(view: View): void {
    if (this.isClosed) return;
    const isFirst = this.view.epoch === 0;
    const isNews = this.fleet.take(view);
    this.admission.setKnown();
    if (!isNews) return;
    this.admission.forgetDenial();
    // Outcomes from before the first known epoch count under this one.
    if (isFirst && view.kind === 'closed') {
      this.admission.refresh();
      return;
    }
    this.#beginGeneration();
    this.admission.begin(view);
  }

  /** What was seen until now no longer counts, and neither does what calls that are under way will come to. */
  #beginGeneration(): void {
    this.#reports.discard();
    if (!this.#outcomes.isEmpty) this.#reports.addLate(this.#outcomes.take());
    this.#schedule();
    this.generation.isCurrent = false;
    this.generation = new Generation(this, this.#options.preset.timeoutMs);
  }

  #setStale(stale: boolean): void {
    if (stale === this.isStale || this.isClosed) return;
    this.isStale = stale;
    this.admission.setStale(stale);
    this.#options.events.stale(stale);
    // What couldn't be reported in the meantime.
    if (!stale) this.#hasten('failure');
  }

  /** Feeds what was counted to the own breaker, and to the next report. */
  #flushCounts(): void {
    if (this.#outcomes.isEmpty) return;
    const batch = this.#outcomes.take();
    const { successes, failures, quotas, slow } = batch;
    if (this.isStale) this.#options.events.decidedLocally('passed', successes + failures + quotas);
    this.#reports.add(batch);
    const tripped = this.admission.report(batch);
    if (failures + quotas + slow > 0) this.#hasten(tripped ? 'tripped' : 'failure');
  }

  #hasten(urgency: Urgency): void {
    this.#reports.hasten(urgency);
    this.#schedule();
  }

  /** Keeps the timer at the time by which a report must go out. */
  #schedule(): void {
    const { dueMs } = this.#reports;
    if (dueMs === (this.#timer?.dueMs ?? Infinity) || this.isClosed) return;
    this.#timer?.cancel();
    const cancel = this.#options.runtime.after(Math.max(0, Math.ceil(dueMs - this.now())), () => {
      this.#timer = undefined;
      this.#reports.wasDue();
      void this.flush();
    });
    this.#timer = { dueMs, cancel };
  }
}
