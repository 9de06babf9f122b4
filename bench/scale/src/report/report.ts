import type { LoadSecond, PhaseTotals } from '../load/messages.ts';
import type { ProfileName } from '../plan.ts';
import type { Incident } from '../run-context.ts';
import type { Sample } from '../sampler.ts';
import type { CapacityRow, Check } from '../verify/capacity.ts';

/** The most that the machine gave. */
export interface Peak {
  /** Of the profile's rates. */
  readonly factor: number;
  readonly requestsPerSecond: number;
  readonly generationsPerHour: number;
  /** Why the ramp went no further. */
  readonly endedBy: string;
}

/** All that a run found. Plain data: pages and charts are made of it. */
export interface Report {
  readonly profile: ProfileName;
  /** A run in phases, one with a Cluster, or a soak. */
  readonly kind: 'run' | 'cluster' | 'soak';
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly machine: string;
  readonly durationMs: number;
  readonly fleet: string;
  readonly passed: boolean;
  readonly capacity: readonly CapacityRow[];
  readonly checks: readonly Check[];
  readonly peak: Peak;
  readonly phases: readonly PhaseTotals[];
  readonly seconds: readonly LoadSecond[];
  readonly samples: readonly Sample[];
  readonly incidents: readonly Incident[];
}
