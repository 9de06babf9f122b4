import type { Profile } from './profile.ts';

/*
 * A run in phases:
 *
 * - connect: users connect, a few hundred at a time.
 * - steady:  everybody does what the profile says. What the capacity table promises is measured here.
 * - faults:  the same traffic with generations at a rate that trips a breaker. The provider fails for a third of it; one
 *            API process and one worker are killed.
 * - ramp:    everything doubles step by step until the machine has no more to give or the time is up.
 * - drain:   nobody sends any more; what is on its way arrives, and the answers are compared with the stored rows.
 */

/** Parts of a run in which users send requests. */
export type LoadPhase = 'steady' | 'faults' | 'ramp';

/** What a run does and for how long. Plain data: it travels to the load generator. */
export interface Plan {
  readonly profile: Profile;
  readonly steadyMs: number;
  readonly faultsMs: number;
  readonly rampMs: number;
  /** How long each step of the ramp lasts. */
  readonly rampStepMs: number;
  /** The most requests a second that the ramp offers. */
  readonly maxRate: number;
  /** Generations a second in the steady phase: a tenth above the profile, and at least one in two seconds. */
  readonly generationRate: number;
  /** Generations a second in the fault phase, at least. */
  readonly faultGenerationRate: number;
  readonly signInRate: number;
  /** Users who flood, without any think time but this, in ms. */
  readonly abusers: number;
  readonly abuserEveryMs: number;
  readonly apiProcesses: number;
  readonly workers: number;
  /** Connections of the pooler to Postgres. */
  readonly poolSize: number;
  /** How long the breaker stays open at first, in ms. The guide's 60 s where the run is long enough to see it close. */
  readonly breakerOpenMs: number;
  /** How long the provider takes for a generation, in ms. */
  readonly providerMs: number;
}

const HOUR_MS = 3_600_000;

/** The shortest run in which everything still happens, in ms. */
export const MIN_DURATION_MS = 12_000;

/** The longest run, in ms: what the load generator keeps of it has to fit in memory. */
export const MAX_DURATION_MS: number = HOUR_MS;

/** Plans a run of a profile whose load phases last `durationMs` together. */
export function planRun(profile: Profile, durationMs: number, machine: { readonly cores: number }): Plan {
  const steadyMs = Math.round(durationMs * 0.4);
  const faultsMs = Math.round(durationMs * 0.4);
  const rampMs = durationMs - steadyMs - faultsMs;
  const generationRate = Math.max((profile.generationsPerHour * 1.1 * 1_000) / HOUR_MS, 0.5);
  return {
    profile,
    steadyMs,
    faultsMs,
    rampMs,
    rampStepMs: Math.max(2_000, Math.round(rampMs / 6)),
    maxRate: 20_000,
    generationRate,
    faultGenerationRate: Math.max(generationRate, 10),
    signInRate: Math.max((profile.users / profile.signInEveryMs) * 1_000, 0.5),
    abusers: Math.max(3, Math.round(profile.users / 100)),
    abuserEveryMs: 100,
    // The load generator and the servers need cores too.
    apiProcesses: Math.min(8, Math.max(2, machine.cores - 2)),
    workers: 2,
    poolSize: 20,
    breakerOpenMs: Math.min(60_000, Math.round(faultsMs / 8)),
    providerMs: 80,
  };
}
