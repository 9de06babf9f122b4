import { type Batch, emptyBatch } from '../src/machine/batch.ts';
import type { MachineConfig, TripConfig } from '../src/machine/record.ts';
import {
  type Action,
  type BreakerRecord,
  type Command,
  unknownView,
  type ProbeOutcome,
  type View,
} from '../src/machine/record.ts';
import { step } from '../src/machine/step.ts';
import type { StepResult } from '../src/machine/step-context.ts';

/** So many failures in a row. */
export function runOf(failureCount: number, forgetMs = 5_000): TripConfig {
  const shares = { over: 'time', size: 0, staleMs: 0, minimumCalls: 1, failureRate: 2, slowRate: 2 } as const;
  return { failures: failureCount, forgetMs, ...shares };
}

/** Three failures of two instances open for a second. */
export const baseConfig: MachineConfig = {
  version: 1,
  trip: runOf(3),
  trips: true,
  openMs: 1_000,
  maxOpenMs: 8_000,
  backoff: 2,
  decayMs: 10_000,
  probes: 2,
  leaseMs: 500,
  maxExpiries: 3,
  quorum: 2,
  recordFailures: true,
  recordSuccesses: false,
};

/** So many failures in a row, after which everything went well, or not. */
export function failures(count: number, rest: Partial<Batch> = {}): Batch {
  return {
    ...emptyBatch,
    failures: count,
    leadingFailures: count,
    longestRun: count,
    trailingFailures: count,
    samples: ['boom'],
    ...rest,
  };
}

/** So many successes. */
export function successes(count: number): Batch {
  return { ...emptyBatch, successes: count };
}

/** A probe's outcome. */
export function probe(kind: ProbeOutcome['kind'], retryAfterMs = 0): ProbeOutcome {
  return { kind, retryAfterMs, message: kind === 'failure' ? 'boom' : '' };
}

/** A breaker driven by hand, on a clock turned by hand. */
export interface Bench {
  now: number;
  record: BreakerRecord | undefined;
  readonly config: MachineConfig;
  random: number;
  /** Lets an instance do something; it knows what the record says unless told otherwise. */
  act(instance: string, action: Action, known?: View, deployed?: Partial<MachineConfig>): StepResult;
  /** Reports a batch under the next number. */
  report(instance: string, batch: Batch, known?: View): StepResult;
}

/** Makes a {@link Bench}. */
export function machineBench(overrides: Partial<MachineConfig> = {}): Bench {
  const config = { ...baseConfig, ...overrides };
  const seqs = new Map<string, number>();
  let last: View | undefined;
  const bench: Bench = {
    now: 1_800_000_000_000,
    record: undefined,
    config,
    random: 0,
    act(instance, action, known = last ?? unknownView, deployed = {}) {
      const command: Command = { instance, config: { ...config, ...deployed }, known, random: bench.random, action };
      const done = step(bench.record, command, bench.now);
      bench.record = done.record;
      last = done.reply.view;
      return done;
    },
    report(instance, batch, known) {
      const seq = (seqs.get(instance) ?? 0) + 1;
      seqs.set(instance, seq);
      return bench.act(instance, { type: 'report', seq, batch }, known);
    },
  };
  return bench;
}

/** The types of events, in their order. */
export function kinds(events: StepResult['events']): string[] {
  return events.map(({ type }) => type);
}

/** A breaker that two instances have opened, by what the second one told. */
export function opened(overrides: Partial<MachineConfig> = {}): { readonly bench: Bench; readonly trip: StepResult } {
  const bench = machineBench(overrides);
  bench.report('a', failures(1));
  const trip = bench.report('b', failures(2));
  if (bench.record?.state.kind !== 'open') throw new Error('it did not open');
  return { bench, trip };
}
