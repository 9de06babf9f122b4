import type { Engine } from '../engine/engine.ts';

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
