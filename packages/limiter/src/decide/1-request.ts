import { capacityOf, MAX_LIMIT } from '../algorithms/algorithm.ts';
import { type Policy, specOf } from '../algorithms/registry.ts';
import { checkAction, checkSubject, wholeNumberWithin } from '../checks.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import type { LivePolicies } from '../live/live-policies.ts';
import { DEFAULT_ACTION, type StoreRequest, type StoreWindow, type WindowKeys } from '../store/store.ts';
import type { CombinedRequest, ConsumeOptions } from '../types.ts';

/*
 * The road of a decision, a file a step:
 *
 * 1. request: what the caller passed is checked, and becomes one object that all further steps get.
 * 2. local: lists, known blocks and leased units are decided in this process.
 * 3. redis-store: which script decides; what another algorithm has counted goes by the general one.
 * 4. batch: requests of one turn of the event loop travel together, each within its deadline (`@spillway/redis`).
 * 5. protocol: what a batch is sent as, and what its reply means.
 * 6. codec: the bytes of both.
 *
 * `fallback.ts` answers where Redis doesn't, by `local-decisions.ts`. `../events/watch.ts` looks at each decision on its way back.
 */

/** @throws {LimiterInputError} unless `cost` is a whole number from 1 to what the policy can ever admit. */
function checkCost(cost: unknown, policy: Policy): asserts cost is number {
  if (cost !== 1) wholeNumberWithin('cost', cost, 1, capacityOf(policy));
}

/** @throws {LimiterInputError} unless `units` is a whole number from 1 to the highest limit there is. */
function checkUnits(units: unknown): asserts units is number {
  if (units !== 1) wholeNumberWithin('cost', units, 1, MAX_LIMIT);
}

/** @throws {LimiterInputError} unless `slot` is one that a decision named. */
function checkSlot(slot: unknown): asserts slot is string {
  if (typeof slot !== 'string' || !/^[\w-]{8}$/.test(slot)) {
    throw new LimiterInputError('slot', `must be the slot of a decision, not ${shown(slot)}`);
  }
}

/** Turns what callers pass into requests that a store takes. All of it throws `LimiterInputError`. */
export interface RequestReader {
  /** The policy that holds for a subject now: a live one or the code's, with the subject's overrides. What is made of it checks the subject. */
  find(policy: string, subject: string): Policy;
  /** The same, of an algorithm with slots; or of what a live change has made of such a policy. */
  findWithSlots(policy: string, subject: string): Policy;
  locate(policy: Policy, subject: string, action?: string): StoreWindow;
  /**
   * Checks the options of a request that is to be admitted. A cost above what the code's policy and the one that holds now
   * can ever admit is a fault of the program; one above a limit that was lowered while it ran is refused instead.
   */
  checkOptions(policy: Policy, options: ConsumeOptions): void;
  /** `policy` is one that was found for this subject, and `options` have been checked. */
  make(policy: Policy, subject: string, options: ConsumeOptions): StoreRequest;
  /** Both at once. */
  request(policy: Policy, subject: string, options: ConsumeOptions): StoreRequest;
  /** A penalty or a refund, of any number of units. */
  change(policy: Policy, subject: string, options: ConsumeOptions): StoreRequest;
  /** Undefined when a live change has made another algorithm of the policy: then there are no slots. */
  slotRequest(policy: string, subject: string, slot: string, action?: string): StoreRequest | undefined;
  together(requests: readonly CombinedRequest[]): readonly StoreRequest[];
}

/** The most requests that one `consumeAll` may hold. */
const MAX_TOGETHER = 64;

const CONSUME_OPTIONS = ['action', 'cost'];
const COMBINED_OPTIONS = ['policy', 'subject', ...CONSUME_OPTIONS];

/** Makes a {@link RequestReader}. */
export function requestReader(
  policies: ReadonlyMap<string, Policy>,
  keyOf: WindowKeys,
  live?: LivePolicies,
): RequestReader {
  const checkedKey = checkedKeys(keyOf, live !== undefined);
  const findKey = cachedWindowKeys(checkedKey);

  function find(name: string, subject: string): Policy {
    const base = live?.policy(name) ?? policies.get(name);
    if (base === undefined) {
      throw new LimiterInputError('policy', `must be one of ${[...policies.keys()].join(', ')}, not ${shown(name)}`);
    }
    if (live === undefined) return base;
    checkSubject(subject);
    return live.resolve(base, subject);
  }

  function findWithSlots(name: string, subject: string): Policy {
    const policy = find(name, subject);
    const inCode = policies.get(name) ?? policy;
    if (specOf(policy).holdsSlots || specOf(inCode).holdsSlots) return policy;
    throw new LimiterInputError('policy', `must be one with slots, of algorithm concurrency, not ${shown(name)}`);
  }

  function locate(policy: Policy, subject: string, action: string = DEFAULT_ACTION): StoreWindow {
    if (action !== DEFAULT_ACTION) checkAction(action);
    return { policy, subject, action, key: checkedKey(policy.name, action, subject) };
  }

  function make(policy: Policy, subject: string, { action = DEFAULT_ACTION, cost = 1 }: ConsumeOptions): StoreRequest {
    const key = findKey(policy, action, subject);
    return specOf(policy).holdsSlots
      ? { policy, subject, action, key, cost, slot: slotId() }
      : { policy, subject, action, key, cost };
  }

  function request(policy: Policy, subject: string, options: ConsumeOptions): StoreRequest {
    checkOptions(policies, policy, options);
    return make(policy, subject, options);
  }

  return {
    checkOptions: (policy, options) => checkOptions(policies, policy, options),
    make,
    find,
    findWithSlots,
    locate,
    request,
    change(policy, subject, options) {
      checkMembers('options', options, CONSUME_OPTIONS);
      const { action = DEFAULT_ACTION, cost = 1 } = options;
      checkUnits(cost);
      checkAction(action);
      return make(policy, subject, options);
    },
    slotRequest(name, subject, slot, action) {
      const policy = findWithSlots(name, subject);
      checkSlot(slot);
      if (!specOf(policy).holdsSlots) return undefined;
      return { ...locate(policy, subject, action), cost: 1, slot };
    },
    together: (combined) =>
      readTogether(combined, ({ policy, subject, ...options }) => request(find(policy, subject), subject, options)),
  };
}

/**
 * A subject is checked where its key is made: one whose block or leased window is known was checked before. With live lists and
 * overrides, which are looked up by subject, it is checked first.
 */
function checkedKeys(keyOf: WindowKeys, isChecked: boolean): WindowKeys {
  if (isChecked) return keyOf;
  return (name, action, subject) => {
    checkSubject(subject);
    return keyOf(name, action, subject);
  };
}

type InCode = ReadonlyMap<string, Policy>;

function checkOptions(policies: InCode, policy: Policy, options: ConsumeOptions): void {
  checkMembers('options', options, CONSUME_OPTIONS);
  const { action = DEFAULT_ACTION, cost = 1 } = options;
  if (cost !== 1) checkCostUnder(policies, policy, cost);
  if (action !== DEFAULT_ACTION) checkAction(action);
}

function checkCostUnder(policies: InCode, policy: Policy, cost: number): void {
  const inCode = policies.get(policy.name);
  if (inCode === undefined) checkUnits(cost);
  else checkCost(cost, capacityOf(inCode) < capacityOf(policy) ? policy : inCode);
}

function readTogether(
  combined: readonly CombinedRequest[],
  read: (one: CombinedRequest) => StoreRequest,
): readonly StoreRequest[] {
  checkSize(combined);
  const requests = combined.map((one) => {
    checkMembers('requests', one, COMBINED_OPTIONS);
    return read(one);
  });
  checkAllDiffer(requests);
  return requests;
}

function checkSize(combined: unknown): void {
  if (!Array.isArray(combined) || combined.length === 0 || combined.length > MAX_TOGETHER) {
    throw new LimiterInputError('requests', `must be a list of 1 to ${MAX_TOGETHER} requests`);
  }
}

function checkAllDiffer(requests: readonly StoreRequest[]): void {
  if (new Set(requests.map(({ key }) => key)).size < requests.length) {
    throw new LimiterInputError('requests', 'must not name one window twice: add up the costs');
  }
}

/** Keys kept for a policy; then all are let go of, and those that still matter come back one by one. */
const MAX_KEPT = 20_000;

/** Finds or makes the key of a window. */
export type WindowKeyFinder = (policy: Policy, action: string, subject: string) => string;

/**
 * Keeps the keys of leased policies, whose windows are mostly decided in this process. Joining a key is cheap, but looking
 * the joined text up in a Map is not: it has to be copied together and hashed.
 */
export function cachedWindowKeys(keyOf: WindowKeys): WindowKeyFinder {
  const kept = new WeakMap<Policy, Map<string, string>>();
  return (policy, action, subject) => {
    if (policy.lease === undefined || action !== DEFAULT_ACTION) return keyOf(policy.name, action, subject);
    let keys = kept.get(policy);
    if (keys === undefined) kept.set(policy, (keys = new Map<string, string>()));
    let key = keys.get(subject);
    if (key !== undefined) return key;
    if (keys.size >= MAX_KEPT) keys.clear();
    keys.set(subject, (key = keyOf(policy.name, action, subject)));
    return key;
  };
}

const ID_LENGTH = 8;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

// Random bytes for many ids at once: asking for eight at a time takes longer than the rest of a decision.
const pool = new Uint8Array(ID_LENGTH * 256);
let taken = pool.length;

/** An id for a holder: 48 random bits as 8 characters. */
function slotId(): string {
  if (taken === pool.length) {
    crypto.getRandomValues(pool);
    taken = 0;
  }
  let id = '';
  for (const end = taken + ID_LENGTH; taken < end; taken += 1) id += ALPHABET[(pool[taken] ?? 0) & 63];
  return id;
}
