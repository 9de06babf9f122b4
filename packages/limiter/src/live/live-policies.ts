import type { PolicyOptions } from '../policy/policy.ts';
import type { Policy } from '../types.ts';
import type { ListVerdict, LiveEntries, LiveEntryError, Override } from './entries.ts';

/** The hash that holds the live entries of a deployment, unless it says otherwise. */
export const DEFAULT_LIVE_KEY = 'spillway:live';

/** What {@link livePolicies} can be told. */
export interface LiveOptions {
  /** The hash in Redis, the same in all processes. @default 'spillway:live' */
  readonly key?: string;
  /** Most ms that a change may take before it fails. @default 1000 */
  readonly deadlineMs?: number;
  /** Hears of each stored entry that is ignored, each time the entries are read. @default nobody hears */
  readonly onError?: (error: LiveEntryError) => void;
}

/**
 * Policies, overrides and lists that hold in all processes within a second of being set. Setters return when they hold in
 * this process, reject with `LimiterInputError` for bad input and with `LimiterUnavailableError` when Redis is away.
 */
export interface LivePolicies {
  /** Puts a policy in the place of the one of that name in code, or adds a new one. */
  setPolicy(policy: PolicyOptions): Promise<void>;
  /** Back to the code's policy. @returns whether there was a live one. */
  removePolicy(name: string): Promise<boolean>;
  /** Gives some subjects other numbers; what they used stays used. */
  setOverride(override: Override): Promise<void>;
  /** @returns whether there was one. */
  removeOverride(place: Pick<Override, 'policy' | 'subject'>): Promise<boolean>;
  /** Always admits a subject, a pattern of subjects (`org-*`), an address or a network (`10.0.0.0/8`), uncounted. */
  allow(entry: string): Promise<void>;
  /** Always refuses it. */
  deny(entry: string): Promise<void>;
  /** Takes an entry off both lists. @returns whether it was on one. */
  unlist(entry: string): Promise<boolean>;
  /** All that is set, read now. */
  list(): Promise<LiveEntries>;
  /** Reads the entries now; until the first reading the code's policies hold. */
  refresh(): Promise<void>;
  /** The policy that holds for a subject now: exact override, then the closest pattern, then the live policy, then `base`. */
  resolve(base: Policy, subject: string): Policy;
  /** The live policy of a name. */
  policy(name: string): Policy | undefined;
  /** What the lists say of a subject now. */
  listed(subject: string): ListVerdict | undefined;
  /** A limiter closes its own. */
  close(): void;
}
