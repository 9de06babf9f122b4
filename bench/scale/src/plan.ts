import { auth, generation, standard } from '@spillway/limiter';

/*
 * A run in phases:
 *
 * - connect: users connect, a few hundred at a time.
 * - steady:  all users send at the profile's rates. What the capacity table promises is measured here.
 * - faults:  the same traffic with generations at a rate that trips a breaker. The provider fails for a third of it; one
 *            application process and one worker are killed.
 * - ramp:    everything doubles step by step until the machine has no more to give or the time is up.
 * - drain:   users stop sending; what is on its way arrives, and the answers are compared with the stored rows.
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
  readonly appProcesses: number;
  readonly workers: number;
  /** Whether Redis is a Cluster of three masters. */
  readonly cluster: boolean;
  /** Connections of the pooler to Postgres. */
  readonly poolSize: number;
  /** How long the breaker stays open at first, in ms. The guide's 60 s where the run is long enough to see it close. */
  readonly breakerOpenMs: number;
  /** How long the provider takes for a generation, in ms. */
  readonly providerMs: number;
  /** Absent for a run in phases. */
  readonly soak?: SoakPlan;
}

const HOUR_MS = 3_600_000;

/**
 * A decision may take as long as the machine is slow: the test wants to know whether decisions are right, and one that is made
 * without Redis can't be checked.
 */
export const DECISION_DEADLINE_MS = 10_000;

/** The shortest run in which everything still happens, in ms. */
export const MIN_DURATION_MS = 12_000;

/** The longest run, in ms: what the load generator keeps of it has to fit in memory. */
export const MAX_DURATION_MS: number = HOUR_MS;

/** A long run under the profile's load. Before it and after it all that is held is counted. */
export interface SoakPlan {
  readonly durationMs: number;
  /** How long caches may fill before the first census. */
  readonly warmUpMs: number;
  /** Between two outages of the provider. */
  readonly roundMs: number;
  readonly outageMs: number;
  /** How long users pause before a census: in a long soak until the windows have expired. */
  readonly restMs: number;
}

/** From this on a soak is long. */
const LONG_MS = 600_000;

/** Plans a soak of a profile. */
export function planSoak(profile: Profile, durationMs: number, machine: Machine): Plan {
  const isLong = durationMs >= LONG_MS;
  const soak = {
    durationMs,
    warmUpMs: isLong ? 180_000 : Math.round(durationMs * 0.3),
    roundMs: isLong ? 240_000 : Math.round(durationMs * 0.3),
    outageMs: isLong ? 10_000 : 1_000,
    restMs: isLong ? 75_000 : 6_000,
  };
  const plan = planRun(profile, durationMs, machine);
  // Rounds follow each other sooner than the breaker forgets its openings, each of which may double how long the next one lasts.
  return { ...plan, breakerOpenMs: Math.min(plan.breakerOpenMs, 10_000), soak };
}

/** What a run is planned for. */
export interface Machine {
  readonly cores: number;
  /** @default false */
  readonly cluster?: boolean;
}

/** Plans a run of a profile whose load phases last `durationMs` together. */
export function planRun(profile: Profile, durationMs: number, machine: Machine): Plan {
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
    appProcesses: Math.min(8, Math.max(2, machine.cores - 2)),
    workers: 2,
    cluster: machine.cluster ?? false,
    poolSize: 20,
    breakerOpenMs: Math.min(60_000, Math.round(faultsMs / 8)),
    providerMs: 80,
  };
}

/** A column of the guide's capacity table, and the traffic that fills it. */
export interface Profile {
  readonly name: ProfileName;
  /** As the guide heads the column. */
  readonly title: string;
  /** Users who stay connected; the guide's "Concurrent users". */
  readonly users: number;
  /** The guide's "Generations/hour". */
  readonly generationsPerHour: number;
  /** The guide's "DB connections": at most so many, or a pool whose size doesn't grow with the users. */
  readonly dbConnections: number | 'pooled';
  /** A user reads once in so many ms on average. */
  readonly readEveryMs: number;
  /** A user signs in once in so many ms on average. */
  readonly signInEveryMs: number;
}

/** The guide's three columns. */
export type ProfileName = 'free' | 'pro' | 'scale';

/** The columns of the guide's capacity table. */
export const profiles: Readonly<Record<ProfileName, Profile>> = {
  free: {
    name: 'free',
    title: 'Free Tier',
    users: 100,
    generationsPerHour: 500,
    dbConnections: 60,
    readEveryMs: 5_000,
    signInEveryMs: 300_000,
  },
  pro: {
    name: 'pro',
    title: 'Pro Tier',
    users: 1_000,
    generationsPerHour: 5_000,
    dbConnections: 500,
    readEveryMs: 10_000,
    signInEveryMs: 600_000,
  },
  scale: {
    name: 'scale',
    title: 'Scale Target',
    users: 10_000,
    generationsPerHour: 50_000,
    dbConnections: 'pooled',
    readEveryMs: 15_000,
    signInEveryMs: 600_000,
  },
};

/** Whether it is the name of a profile. */
export function isProfileName(text: string): text is ProfileName {
  return Object.hasOwn(profiles, text);
}

/** What a user can ask for. The numbers index {@link kinds}. */
export const GENERATE = 0;
export const READ = 1;
export const SIGN_IN = 2;

/** One of {@link GENERATE}, {@link READ}, {@link SIGN_IN}. */
export type Kind = 0 | 1 | 2;

/** What a policy promises. */
export interface LimitRule {
  readonly limit: number;
  readonly windowMs: number;
  readonly blockMs: number;
}

/** A kind of request, the tier that limits it, and the action that its blocks are recorded under. */
export interface KindOfRequest {
  readonly title: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly tier: string;
  readonly action: string;
  readonly rule: LimitRule;
}

/** The kinds of requests, in the order of their numbers. */
export const kinds: readonly [KindOfRequest, KindOfRequest, KindOfRequest] = [
  {
    title: 'generations',
    method: 'POST',
    path: '/functions/v1/generate-content',
    tier: generation.name,
    action: 'generate-content',
    rule: generation,
  },
  { title: 'reads', method: 'GET', path: '/api/projects', tier: standard.name, action: 'default', rule: standard },
  { title: 'sign-ins', method: 'POST', path: '/auth/sign-in', tier: auth.name, action: 'sign-in', rule: auth },
];

/** The API key of a user. */
export function apiKeyOf(user: number): string {
  return `user-${user}`;
}

/** What a request looks like on the wire: the same bytes each time. */
export function requestText(kind: Kind, user: number): string {
  const { method, path } = kinds[kind];
  const body = method === 'POST' ? 'Content-Length: 0\r\n' : '';
  return `${method} ${path} HTTP/1.1\r\nHost: api\r\nX-API-Key: ${apiKeyOf(user)}\r\n${body}\r\n`;
}
