import type { Engine } from '../src/engine/engine.ts';
import type { BreakerRecord, Command, MachineState, Reply } from '../src/machine/record.ts';
import { definePreset, type Preset, type PresetOptions } from '../src/presets/preset.ts';

const first = {
  name: 'simulated',
  trip: { strategy: 'consecutive', failures: 3, forgetAfterMs: 2_000 },
  openMs: 400,
  maxOpenMs: 1_000,
  probes: 2,
  timeoutMs: 300,
  probeMarginMs: 100,
} satisfies PresetOptions;

/** What processes are deployed with: each is followed by any other, so that numbers change in every state, both ways. */
export const deployments: readonly [Preset, ...Preset[]] = [
  definePreset(first),
  definePreset({ ...first, version: 2, probes: 1, openMs: 200, maxOpenMs: 300, quorum: 1 }),
  definePreset({ ...first, version: 2, probes: 3, timeoutMs: 200, trip: { strategy: 'consecutive', failures: 5 } }),
  definePreset({ ...first, version: 3, probes: 1, trip: { ...first.trip, failures: 2 }, quorum: 0.5 }),
];

/** How a schedule went. */
export interface SimulationReport {
  readonly violations: readonly string[];
  /** What happened in it, so that a search can tell whether it reached what it should. */
  readonly kinds: ReadonlySet<string>;
  readonly calls: number;
}

/** One process: its engine, and the clock and the network that it has. */
export interface Instance {
  readonly name: string;
  readonly engine: Engine;
  /** False: killed. Messages that it sent before may arrive still. */
  alive: boolean;
  pathIsBroken: boolean;
  hears: boolean;
  lastEpoch: number;
  /** A command was answered or failed, or a change was announced to it. */
  isTold: boolean;
}

/** A command that a store carried out, as somebody sees it who looks over its shoulder. */
interface Seen {
  readonly before: BreakerRecord | undefined;
  readonly command: Command;
  readonly after: BreakerRecord;
  readonly reply: Reply;
  readonly nowMs: number;
}

/** Whom a {@link StoreWitness} tells. */
interface Ears {
  violation(what: string): void;
  /** Something worth reaching was reached. */
  reached(kind: string): void;
}

/** Watches every command of a simulated store, and says which invariants it breaks. */
export class StoreWitness {
  readonly #ears: Ears;
  readonly #merged = new Set<string>();
  /** Probes of the current half-open state that died in a row. */
  #deadProbes = 0;

  constructor(ears: Ears) {
    this.#ears = ears;
  }

  /** The store was emptied, or went back: what it merged may come again. */
  forget(): void {
    this.#merged.clear();
    this.#deadProbes = 0;
  }

  saw(seen: Seen): void {
    this.#checkLeases(seen);
    this.#checkReport(seen);
    const { before, command, after, reply } = seen;
    if (before === undefined) return;
    const { action, known } = command;
    if (after.epoch < before.epoch) this.#ears.violation(`the epoch went from ${before.epoch} to ${after.epoch}`);
    // What the store had lost, the instance knew still.
    if (known.epoch > before.epoch || before.seeded) return;
    if (action.type === 'settle' && action.epoch !== before.epoch && reply.verdict !== 'expired') {
      this.#ears.violation('a stale epoch settled something');
    }
    if (action.type !== 'force' && action.type !== 'reset') this.#checkEdge(seen, before);
  }

  #checkReport({ before, command, after, reply }: Seen): void {
    const { action, instance, known } = command;
    if (action.type !== 'report') return;
    const report = `${instance}:${action.seq}`;
    if (this.#merged.has(report) && reply.verdict === 'done') this.#ears.violation(`report ${report} was merged twice`);
    if (reply.verdict === 'done') this.#merged.add(report);
    const isStale = before !== undefined && known.epoch !== 0 && known.epoch < before.epoch && !before.seeded;
    if (!isStale || before.state.kind !== 'closed') return;
    if (after.state.kind !== 'closed') this.#ears.violation('a report of a stale epoch opened');
    else if (after.state.window.run !== before.state.window.run && after.state.window.run !== 0) {
      this.#ears.violation('a report of a stale epoch was counted');
    }
  }

  /** Few at once; and probers that die one after the other say as much as a probe that fails. */
  #checkLeases({ before, command, after, reply, nowMs }: Seen): void {
    const [from, to] = [before?.state, after.state];
    const { probes, maxExpiries } = after.config;
    const had = from?.kind === 'half_open' && after.epoch === before?.epoch ? from.leases.length : 0;
    if (to.kind === 'half_open' && to.leases.length > had && to.leases.length + to.successes > probes) {
      this.#ears.violation('too many leases');
    }
    if (from?.kind === 'half_open') {
      this.#deadProbes += from.leases.filter(({ expiresAtMs }) => expiresAtMs <= nowMs).length;
    }
    const isSettled = command.action.type === 'settle' && reply.verdict === 'settled';
    if (after.epoch !== before?.epoch || isSettled) this.#deadProbes = 0;
    if (this.#deadProbes >= maxExpiries) this.#ears.violation(`${this.#deadProbes} probers died: half open still`);
    if (to.kind === 'open' && to.reason === 'probes_expired') this.#ears.reached('probes expired');
  }

  /** What a command that is nobody's hand may move. */
  #checkEdge({ command, after, nowMs }: Seen, before: BreakerRecord): void {
    const { action, instance } = command;
    const [from, to] = [before.state, after.state];
    const lasts = isForced(from) && (from.untilMs === 0 || from.untilMs > nowMs);
    if (lasts && after.epoch !== before.epoch) this.#ears.violation(`${from.kind} was ended by ${action.type}`);
    if (from.kind === to.kind) return;
    if (!LEGAL.has(`${from.kind} ${to.kind}`)) {
      this.#ears.violation(`${from.kind} became ${to.kind} by ${action.type}`);
    }
    if (from.kind !== 'closed' || action.type !== 'report') return;
    const failures = from.window.run + action.batch.failures;
    if (failures < after.config.trip.failures) this.#ears.violation(`opened with ${failures} failures`);
    const witnesses = new Set([...Object.keys(from.window.runBy), instance]);
    const others = Object.entries(before.instances).some(
      ([name, { calledAtMs }]) => !witnesses.has(name) && calledAtMs > nowMs - CALLED_LATELY_MS,
    );
    if (others && witnesses.size < Math.min(after.config.quorum, 2) && after.config.quorum >= 1)
      this.#ears.violation('one instance opened while others called');
  }
}

/** Safely less than what the machine takes for calling. */
const CALLED_LATELY_MS = 9_000;

function isForced(state: MachineState): state is Extract<MachineState, { kind: 'forced_open' | 'forced_closed' }> {
  return state.kind === 'forced_open' || state.kind === 'forced_closed';
}

/** Edges that nobody's hand is needed for. Two may be taken by one command: time passes first. */
const LEGAL = new Set([
  'closed open',
  'open half_open',
  'half_open open',
  'half_open closed',
  'forced_open closed',
  'forced_open open',
  'forced_closed closed',
  'forced_closed open',
]);
