import type { Policy } from '../algorithms/registry.ts';
import type { Listing } from '../decision.ts';
import type { PolicyOptions } from '../policy.ts';
import type { BlockedEverywhere, BlockEverywhereOptions, ByHand, LiveChange, LiveChangeOptions } from '../types.ts';
import type { AppliedFile, LiveEntries, LiveEntryError, Override, Plan, StoredPreset } from './entries.ts';

/** Options of {@link livePolicies}. */
export interface LiveOptions {
  /** Most ms that a change may take before it fails. @default 1000 */
  readonly deadlineMs?: number;
  /** Called for each stored entry that is ignored, each time the entries are read. @default none */
  readonly onError?: (error: LiveEntryError) => void;
}

/**
 * Policies, overrides, lists and blocks that hold within a second in all limiters of the Redis that are made with `live`.
 * Each change is a row of `spillway.changes`, with its actor. Setters resolve once the change holds in this process; they
 * reject with `LimiterInputError` for bad input, with `LiveConflictError` when `onlyIf` does not hold, and with
 * `LimiterUnavailableError` when Redis is away.
 */
export interface LivePolicies {
  /** Replaces the code's policy of that name, or adds a policy. */
  setPolicy(policy: PolicyOptions, by?: LiveChangeOptions<Policy>): Promise<LiveChange>;
  /** Removes a live policy: the code's applies again. */
  removePolicy(name: string, by?: LiveChangeOptions<Policy>): Promise<LiveChange>;
  /** Sets other options for some subjects; their usage stays. */
  setOverride(override: Override, by?: LiveChangeOptions<Override>): Promise<LiveChange>;
  removeOverride(place: Pick<Override, 'policy' | 'subject'>, by?: LiveChangeOptions<Override>): Promise<LiveChange>;
  /** Always admits a subject, a pattern of subjects (`org-*`), an address or a network (`10.0.0.0/8`), uncounted. */
  allow(entry: string, by?: LiveChangeOptions<'allow' | 'deny'>): Promise<LiveChange>;
  /** Always refuses it. */
  deny(entry: string, by?: LiveChangeOptions<'allow' | 'deny'>): Promise<LiveChange>;
  /** Removes an entry from both lists. */
  unlist(entry: string, by?: LiveChangeOptions<'allow' | 'deny'>): Promise<LiveChange>;
  /**
   * Refuses a subject under every policy and action, for `durationMs` or until it is unblocked, whatever list it is on.
   * The subject is taken as it is: `*` and addresses have no meaning here.
   */
  blockEverywhere(subject: string, options?: BlockEverywhereOptions): Promise<BlockedEverywhere>;
  /** Ends that block. Blocks of single policies stay. */
  unblockEverywhere(subject: string, by?: ByHand): Promise<LiveChange>;
  /** Sets the policies of a plan: see the option `live` of `plans`. */
  setPlan(plan: Plan, by?: LiveChangeOptions<Plan>): Promise<LiveChange>;
  removePlan(name: string, by?: LiveChangeOptions<Plan>): Promise<LiveChange>;
  /** Stores a breaker preset, which programs read at their start. Running breakers keep theirs. */
  setPreset(preset: StoredPreset, by?: LiveChangeOptions<StoredPreset>): Promise<LiveChange>;
  removePreset(name: string, by?: LiveChangeOptions<StoredPreset>): Promise<LiveChange>;
  /** Records which file was applied: in `list()`, and as a row of the trail. */
  recordFile(file: AppliedFile, by?: ByHand): Promise<LiveChange>;
  /** Reads all live entries. */
  list(): Promise<LiveEntries>;
  /** Reads the entries now. Until the first reading the code's policies hold, and decisions wait for it within their deadline. */
  refresh(): Promise<void>;
  /** The policy that holds for a subject now: exact override, then the closest pattern, then the live policy, then `base`. */
  resolve(base: Policy, subject: string): Policy;
  /** The live policy of a name. */
  policy(name: string): Policy | undefined;
  /** The policies of a plan now; undefined for a name that is no plan. */
  plan(name: string): readonly string[] | undefined;
  /** Whether a subject is blocked everywhere or on a list now; undefined: neither. */
  listed(subject: string): Listing | undefined;
  /** Stops reading the entries. A limiter's `close()` includes it. */
  close(): Promise<void>;
}

/** What a look-up needs of a limiter. */
export interface PolicySource {
  readonly policies: ReadonlyMap<string, Policy>;
  readonly live?: LivePolicies;
}

/** The policy that holds for a subject now, live ones and overrides included; undefined for an unknown name. */
export function policyFor({ policies, live }: PolicySource, name: string, subject: string): Policy | undefined {
  if (live === undefined) return policies.get(name);
  const policy = live.policy(name) ?? policies.get(name);
  return policy === undefined ? undefined : live.resolve(policy, subject);
}
