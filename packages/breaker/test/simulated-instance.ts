import type { Engine } from '../src/engine/engine.ts';
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
}
