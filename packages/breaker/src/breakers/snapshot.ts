import type { Engine } from '../engine/engine.ts';
import type { StateName } from '../metrics/metrics.ts';
import type { Preset } from '../presets/preset.ts';

/** A breaker as this process sees it; plain data, fit for JSON. Times are in ms since 1970 by Redis' clock. */
export interface BreakerSnapshot {
  readonly name: string;
  readonly preset: string;
  /** The state that calls of this process meet. */
  readonly state: StateName;
  /** The fleet's, as last heard. It differs when this process refuses on its own counts, or stands alone. */
  readonly fleetState: StateName;
  /** Grows with every transition of the fleet's; 0: nothing was heard yet. */
  readonly epoch: number;
  /** Since when the fleet is in its state; null: nothing was heard yet. */
  readonly sinceMs: number | null;
  /** How long refusals last still, in ms; 0: nothing is refused, or nobody can say; null: until somebody ends it. */
  readonly refusesForMs: number | null;
  /** Openings in a row. */
  readonly openings: number;
  /** Why the fleet is open: failures, failure_rate, slow_rate, quota, sole_caller, probe_failed or probes_expired. */
  readonly reason: string | null;
  /** Who forced the state, and why. */
  readonly who: string | null;
  readonly why: string | null;
  /** True while Redis doesn't answer and this process acts on its own counts. */
  readonly isAlone: boolean;
  /** Version of the preset that the fleet works with; 0: no process that makes calls has been heard of. */
  readonly version: number;
}

/** What an engine knows. */
export function snapshotOf({ id, gate, link }: Engine): BreakerSnapshot {
  const { epoch, kind, sinceMs, openings, reason, who, why } = link.view;
  const { leftMs, stateName } = gate;
  const refuses = stateName !== 'closed' && stateName !== 'forced_closed';
  return {
    name: id.name,
    preset: id.preset,
    state: stateName,
    fleetState: kind,
    epoch,
    sinceMs: epoch === 0 ? null : sinceMs,
    refusesForMs: refuses ? (Number.isFinite(leftMs) ? Math.ceil(leftMs) : null) : 0,
    openings,
    reason: textOrNull(reason),
    who: textOrNull(who),
    why: textOrNull(why),
    isAlone: link.isAlone,
    version: link.config.version,
  };
}

/** What there is to say of a breaker that nobody is known to have used. */
export function unseenSnapshot(preset: Preset, name: string, isAlone: boolean): BreakerSnapshot {
  return {
    name,
    preset: preset.name,
    state: 'closed',
    fleetState: 'closed',
    epoch: 0,
    sinceMs: null,
    refusesForMs: 0,
    openings: 0,
    reason: null,
    who: null,
    why: null,
    isAlone,
    version: preset.version,
  };
}

function textOrNull(text: string): string | null {
  return text === '' ? null : text;
}
