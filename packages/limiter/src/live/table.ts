import { monotonicClock } from '@spillway/redis/core';
import { LRUCache } from 'lru-cache';
import type { Policy } from '../algorithms/registry.ts';
import type { Listing } from '../decision.ts';
import { withNumbers } from '../policy.ts';
import { type LiveEntries, type LiveEntryError, type Override, readEntries, VERSION_FIELD } from './entries.ts';
import { closestFirst, compileGlob, type Glob, isGlob, networkTable, parseNetwork } from './matching.ts';
import type { LiveSource } from './sources.ts';

/** The live entries, compiled for look-up: made once a version and never changed. */
export interface LiveTable {
  /** The live policy of that name, if there is one. */
  policy(name: string): Policy | undefined;
  /** The policies of a plan of that name, if there is one. */
  plan(name: string): readonly string[] | undefined;
  /** What holds for a subject: the exact override, else the closest pattern, else the policy itself. */
  resolve(base: Policy, subject: string): Policy;
  /**
   * What is said of a subject: its block while it lasts, else what the lists say of the exact subject, else of the closest
   * pattern, else of the smallest network, if it is an `ip:` one.
   */
  listed(subject: string): Listing | undefined;
}

/** How many subjects a table remembers the outcome of its patterns for. */
const MEMO_SIZE = 10_000;

/** The entries that decisions look at. */
type CompiledEntries = Pick<LiveEntries, 'policies' | 'overrides' | 'allowed' | 'denied' | 'blocked'> &
  Partial<Pick<LiveEntries, 'plans'>>;

/**
 * Compiles entries. The objects that `resolve` answers with are the same for the same question.
 * @param clockOffset what has to be added to a time of the store's to have that of `performance.now()`, in ms
 */
export function liveTable(
  { policies, overrides, allowed, denied, blocked, plans = [] }: CompiledEntries,
  clockOffset = 0,
): LiveTable {
  const ofPlan = new Map(plans.map((plan) => [plan.name, plan.policies]));
  const live = new Map(policies.map((policy) => [policy.name, policy]));
  const byPolicy = new Map<string, Matcher<Override>>();
  for (const name of new Set(overrides.map(({ policy }) => policy))) {
    const group = overrides.filter(({ policy }) => policy === name);
    byPolicy.set(name, matcher(new Map(group.map((override) => [override.subject, override]))));
  }
  const effective = new WeakMap<Policy, Map<Override, Policy>>();
  const lists = listMatcher(allowed, denied);
  const blocks = new Map(blocked.map(({ subject, blockedUntilMs }) => [subject, blockOf(blockedUntilMs, clockOffset)]));

  return {
    policy: (name) => live.get(name),
    plan: (name) => ofPlan.get(name),
    resolve(base, subject) {
      const override = byPolicy.get(base.name)?.find(subject);
      if (override === undefined) return base;
      let made = effective.get(base);
      if (made === undefined) effective.set(base, (made = new Map<Override, Policy>()));
      let policy = made.get(override);
      if (policy === undefined) made.set(override, (policy = withNumbers(base, override)));
      return policy;
    },
    listed(subject) {
      const block = blocks.size === 0 ? undefined : blocks.get(subject);
      if (block !== undefined && block.endsAt > monotonicClock.now()) return block;
      return lists.find(subject);
    },
  };
}

interface Matcher<Value> {
  find(subject: string): Value | undefined;
}

function matcher<Value extends object | string>(
  entries: ReadonlyMap<string, Value>,
  otherwise?: Matcher<Value>,
): Matcher<Value> {
  const exact = new Map([...entries].filter(([text]) => !isGlob(text)));
  const patterns = [...entries]
    .filter(([text]) => isGlob(text))
    .map(([text, value]): readonly [Glob, Value] => [compileGlob(text), value])
    .toSorted(([one], [other]) => closestFirst(one, other));
  if (patterns.length === 0 && otherwise === undefined) return { find: (subject) => exact.get(subject) };
  const memo = new LRUCache<string, { readonly value: Value | undefined }>({ max: MEMO_SIZE });
  return {
    find(subject) {
      const named = exact.get(subject);
      if (named !== undefined) return named;
      let known = memo.get(subject);
      if (known === undefined) {
        const value = patterns.find(([glob]) => glob.matches(subject))?.[1] ?? otherwise?.find(subject);
        memo.set(subject, (known = { value }));
      }
      return known.value;
    },
  };
}

/** What {@link liveTable} says of a block. */
type Block = Extract<Listing, { verdict: 'blocked' }>;

function blockOf(blockedUntilMs: number, clockOffset: number): Block {
  return { verdict: 'blocked', blockedUntilMs, endsAt: blockedUntilMs + clockOffset };
}

const ALLOW: Listing = { verdict: 'allow' };
const DENY: Listing = { verdict: 'deny' };

function listMatcher(allowed: readonly string[], denied: readonly string[]): Matcher<Listing> {
  const verdicts = new Map<string, Listing>();
  for (const entry of allowed) verdicts.set(entry, ALLOW);
  for (const entry of denied) verdicts.set(entry, DENY);
  if (verdicts.size === 0) return { find: () => undefined };
  const networks = new Map([...verdicts].filter(([entry]) => isNetwork(entry)));
  // An address on a list means who calls from there: a user of that name is another subject.
  for (const entry of networks.keys()) verdicts.delete(entry);
  return matcher(verdicts, networks.size > 0 ? networkTable(networks) : undefined);
}

function isNetwork(entry: string): boolean {
  return !isGlob(entry) && parseNetwork(entry) !== undefined;
}

/** Entries that apply to some subjects only. */
export type SubjectEntries = Pick<LiveEntries, 'overrides' | 'allowed' | 'denied' | 'blocked'>;

/** A name before a pattern, and the closest pattern first. */
function byCloseness(one: string, other: string): number {
  return Number(isGlob(one)) - Number(isGlob(other)) || closestFirst(compileGlob(one), compileGlob(other));
}

/**
 * The entries that fit a subject: its overrides, the closest first, its list entries, and its block everywhere. More than
 * one may fit; of the overrides of a policy the first holds.
 */
export function entriesFor({ overrides, allowed, denied, blocked }: SubjectEntries, subject: string): SubjectEntries {
  const fits = (pattern: string): boolean =>
    isGlob(pattern) ? compileGlob(pattern).matches(subject) : pattern === subject;
  const lists = (entry: string): boolean =>
    isNetwork(entry) ? networkTable(new Map([[entry, true]])).find(subject) === true : fits(entry);
  return {
    overrides: overrides
      .filter((override) => fits(override.subject))
      .toSorted((one, other) => byCloseness(one.subject, other.subject)),
    allowed: allowed.filter(lists),
    denied: denied.filter(lists),
    blocked: blocked.filter((block) => block.subject === subject),
  };
}

/** The entries as they are known here. */
export interface LiveView {
  readonly table: LiveTable;
  /** Reads them now. */
  refresh(): Promise<void>;
  /** The first reading; it rejects if the source could not be read. */
  readonly firstRead: Promise<void>;
}

const NOTHING_YET = 'nothing read yet';

/** Keeps the compiled entries of the newest version. While they can't be read the last known ones hold. */
export function liveView(source: LiveSource, onError: (error: LiveEntryError) => void): LiveView {
  let table = liveTable({ policies: [], overrides: [], allowed: [], denied: [], blocked: [] }, 0);
  let version = NOTHING_YET;
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  async function load(): Promise<void> {
    const stored = await source.load();
    const loaded = stored.fields.get(VERSION_FIELD) ?? '';
    if (loaded === version) return;
    // Counted from when it was asked: a block never ends later here than where Redis sees its end.
    table = liveTable(readEntries(stored, onError), stored.askedAt - stored.nowMs);
    version = loaded;
  }

  function begin(): Promise<void> {
    running = load().finally(() => {
      running = undefined;
    });
    return running;
  }

  // One reading at a time. A caller during a reading may know of a change that it has missed, and gets the next one.
  function refresh(): Promise<void> {
    if (running === undefined) return begin();
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return begin();
      });
    return next;
  }

  const refreshQuietly = (): void => {
    refresh().catch(() => {
      // Redis is away. The version is read again with each pulse, and still is another one then.
    });
  };
  source.listen((heard) => {
    if (heard !== version) refreshQuietly();
  });
  const first = refresh();
  first.catch(() => undefined);
  return {
    get table() {
      return table;
    },
    refresh,
    firstRead: first,
  };
}
