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
