import type { LoadSecond, PhaseTotals } from '../load/messages.ts';
import type { ProfileName } from '../profile.ts';
import type { Sample } from '../samples/sample.ts';
import type { Check } from '../verify/check.ts';

/** Something that was done to the fleet. */
export interface Incident {
  readonly atMs: number;
  readonly what: string;
}

/** A row of the guide's capacity table. */
export interface CapacityRow {
  readonly metric: string;
  /** As the guide has them. */
  readonly targets: Readonly<Record<ProfileName, string>>;
  readonly measured: string;
  readonly passed: boolean;
}

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
