import type { LoadSecond, PhaseTotals } from '../load/messages.ts';
import { GENERATE, type Plan, type Profile, type ProfileName, profiles } from '../plan.ts';
import type { Sample } from '../sampler.ts';

/** A row of the guide's capacity table. */
export interface CapacityRow {
  readonly metric: string;
  /** As the guide has them. */
  readonly targets: Readonly<Record<ProfileName, string>>;
  readonly measured: string;
  readonly passed: boolean;
}

/** What the capacity table is filled from. */
export interface CapacityOptions {
  readonly plan: Plan;
  /** How long the steady phase really was. */
  readonly steadyMs: number;
  readonly seconds: readonly LoadSecond[];
  readonly phases: readonly PhaseTotals[];
  readonly samples: readonly Sample[];
}

const HOUR_MS = 3_600_000;

/** The guide's table with what was measured beside it, all of it in the steady phase but the connections, whose highest count is told. */
export function fillCapacityTable({
  plan,
  steadyMs,
  seconds,
  phases,
  samples,
}: CapacityOptions): readonly CapacityRow[] {
  const { profile, poolSize } = plan;
  const users = Math.min(...seconds.filter(({ phase }) => phase === 'steady').map(({ connections }) => connections));
  const steady = phases.find(({ phase }) => phase === 'steady');
  const served = steady?.outcomes[GENERATE].served ?? 0;
  const perHour = Math.round((served * HOUR_MS) / steadyMs);
  const connections = Math.max(...samples.map(({ dbConnections }) => dbConnections));
  const allowed = profile.dbConnections === 'pooled' ? poolSize : profile.dbConnections;
  return [
    {
      metric: 'Concurrent users',
      targets: targets((each) => `${each.users.toLocaleString('en')}${each.name === 'scale' ? '+' : ''}`),
      measured: users.toLocaleString('en'),
      passed: users >= profile.users,
    },
    {
      metric: 'Generations/hour',
      targets: targets((each) => `${each.generationsPerHour.toLocaleString('en')}${each.name === 'scale' ? '+' : ''}`),
      measured: perHour.toLocaleString('en'),
      passed: perHour >= profile.generationsPerHour,
    },
    {
      metric: 'DB connections',
      targets: targets(({ dbConnections }) => (dbConnections === 'pooled' ? 'Pooled' : String(dbConnections))),
      measured: `${connections} (pool of ${poolSize})`,
      passed: connections <= Math.min(allowed, poolSize),
    },
  ];
}

function targets(textOf: (profile: Profile) => string): CapacityRow['targets'] {
  return { free: textOf(profiles.free), pro: textOf(profiles.pro), scale: textOf(profiles.scale) };
}

/** One thing that has to hold, and what was found. */
export interface Check {
  readonly name: string;
  /** What was promised. */
  readonly promised: string;
  /** What was found. */
  readonly found: string;
  readonly passed: boolean;
  /** Examples of what went wrong. */
  readonly details?: readonly string[];
}
