import { BY_HAND, readByHand } from '../by-hand.ts';
import type { DecisionCounter } from '../events/decision-counts.ts';
import { combine, withheldUnasked } from '../decision.ts';
import { checkMembers, LimiterClosedError, LimiterInputError } from '../errors.ts';
import type { Gate } from '../decide/2-local.ts';
import type { ChangeOptions, Limiter } from './limiter.ts';
import type { LivePolicies } from '../live/live-policies.ts';
import { MAX_BLOCK_MS } from '../policy/policy.ts';
import type { RequestReader } from '../decide/1-request.ts';
import { hold, withSlot } from './held-slot.ts';
import type { LimiterStore, StoreRequest } from '../store/store.ts';
import type { CombinedRequest, ConsumeOptions, Decision } from '../types.ts';
import { waiting } from './wait-for.ts';
import { wholeNumberWithin } from '../checks.ts';
import type { Policy } from '../algorithms/registry.ts';
import { afterClose } from '../decide/local-decisions.ts';

/** The longest that a timer can wait. */
const MAX_WAIT_MS = 2 ** 31 - 1;

const NO_OPTIONS: ConsumeOptions = {};
const ACTION_OPTIONS = ['action'];
const CHANGE_OPTIONS = ['action', ...BY_HAND];
const WAIT_OPTIONS = ['action', 'cost', 'maxWaitMs', 'signal'];
const BLOCK_OPTIONS = ['durationMs', ...CHANGE_OPTIONS];

/** What decides: the store, or after `close()` what answers in its place. */
interface Decider {
  store: LimiterStore;
}

/** What the operations are made of. */
export interface LimiterParts {
  readonly store: LimiterStore;
  readonly policies: ReadonlyMap<string, Policy>;
  readonly requests: RequestReader;
  readonly gate: Gate;
  readonly live: LivePolicies | undefined;
  /** Who makes the changes that name nobody. */
  readonly actor: string;
  readonly counter: Pick<DecisionCounter, 'close'> | undefined;
}

type Deciding = Pick<Limiter, 'consume' | 'consumeAll' | 'peek' | 'waitFor' | 'acquire'>;
type Managing = Pick<Limiter, 'release' | 'renew' | 'penalize' | 'reward'>;
type Changing = Pick<Limiter, 'reset' | 'block' | 'unblock' | 'blockEverywhere' | 'unblockEverywhere'>;

/** The limiter's operations over a store: input is read, then the gate and the store are asked. */
export function limiterOver(parts: LimiterParts): Limiter {
  const { store, policies, live, counter } = parts;
  const decider: Decider = { store };
  let closed = false;
  const open = (): RequestReader => {
    if (closed) throw new LimiterClosedError();
    return parts.requests;
  };
  return {
    policies,
    ...(live === undefined ? {} : { live }),
    ...deciding(parts, decider, open),
    ...managing(store, open),
    ...changing(parts, open),
    close: async () => {
      if (closed) return;
      closed = true;
      decider.store = { ...store, ...afterClose() };
      await Promise.all([live?.close(), store.close(), counter?.close()]);
    },
  };
}

// Bad input must reject, never throw past a `.catch`. The two hottest methods see to it by hand: `async` would cost
// further turns of the microtask queue.
function deciding({ gate, requests: reader }: LimiterParts, decider: Decider, open: () => RequestReader): Deciding {
  const waitInTurn = waiting();

  function charge(request: StoreRequest): Promise<Decision> {
    const decision = decider.store.consume(request);
    return request.slot === undefined ? decision : decision.then((answer) => withSlot(answer, request));
  }

  return {
    consume(name, subject, options = NO_OPTIONS) {
      try {
        const policy = reader.find(name, subject);
        if (options !== NO_OPTIONS) reader.checkOptions(policy, options);
        return gate.consume(policy, subject, options) ?? charge(reader.make(policy, subject, options));
      } catch (error) {
        return Promise.reject(error);
      }
    },
    consumeAll: async (combined) => combine(await decideAll({ store: decider.store, gate }, reader, combined)),
    peek: async (name, subject, options = NO_OPTIONS) => {
      const policy = reader.find(name, subject);
      reader.checkOptions(policy, options);
      const known = gate.peek(policy, subject, options);
      return known ?? decider.store.peek(reader.make(policy, subject, options));
    },
    waitFor: async (name, subject, waitOptions) => {
      checkMembers('options', waitOptions, WAIT_OPTIONS);
      const { maxWaitMs, signal, ...options } = waitOptions;
      wholeNumberWithin('maxWaitMs', maxWaitMs, 0, MAX_WAIT_MS);
      const policy = open().find(name, subject);
      const asked = open().request(policy, subject, options);
      // Waiting is no offence: it starts no block.
      const patient: StoreRequest = policy.blockMs === 0 ? asked : { ...asked, policy: { ...policy, blockMs: 0 } };
      const attempt = async (): Promise<Decision> => gate.listed(policy, subject) ?? charge(patient);
      return waitInTurn({ key: asked.key, maxWaitMs, signal, attempt });
    },
    acquire: async (name, subject, options = NO_OPTIONS) => {
      const policy = reader.findWithSlots(name, subject);
      const asked = reader.request(policy, subject, options);
      const known = gate.listed(policy, subject);
      const decision = known ?? (await charge(asked));
      if (!decision.allowed) return undefined;
      // A request that the lists admitted, or another algorithm by a live change, holds no slot.
      const { slot } = decision;
      const held = known === undefined && slot !== undefined ? { ...asked, slot } : undefined;
      return hold(decision, {
        windowMs: policy.windowMs,
        renew: async () => held && decider.store.renew(held),
        release: async () => held && decider.store.reward(held),
      });
    },
  };
}

/** Those whom the gate admits are left out of the group; whom it refuses refuses the group. */
async function decideAll(
  { store, gate }: Pick<LimiterParts, 'store' | 'gate'>,
  reader: RequestReader,
  combined: readonly CombinedRequest[],
): Promise<readonly Decision[]> {
  const asked = reader.together(combined);
  const known = asked.map(({ subject, request }) => gate.listed(request.policy, subject));
  const left = asked.flatMap(({ request }, index) => (known[index] === undefined ? [request] : []));
  const refused = known.some((decision) => decision?.allowed === false);
  const answers = new Map<StoreRequest, Decision>();
  if (!refused && left.length > 0) {
    const decisions = await store.consumeAll(left);
    for (const [index, request] of left.entries()) {
      const decision = decisions[index];
      if (decision !== undefined) answers.set(request, withSlot(decision, request));
    }
  }
  const groupRefused = refused || [...answers.values()].some(({ allowed }) => !allowed);
  return asked.map(({ request }, index) => {
    const early = known[index];
    if (early === undefined) return answers.get(request) ?? withheldUnasked(request.policy);
    return early.allowed && groupRefused ? withheldUnasked(request.policy) : early;
  });
}

function managing(store: LimiterStore, open: () => RequestReader): Managing {
  const change = (name: string, subject: string, options: ConsumeOptions): StoreRequest =>
    open().change(open().find(name, subject), subject, options);
  return {
    release: async (name, subject, slot, options = {}) => {
      checkMembers('options', options, ACTION_OPTIONS);
      const held = open().slotRequest(name, subject, slot, options.action);
      if (held !== undefined) await store.reward(held);
    },
    renew: async (name, subject, slot, options = {}) => {
      checkMembers('options', options, ACTION_OPTIONS);
      const held = open().slotRequest(name, subject, slot, options.action);
      if (held !== undefined) await store.renew(held);
    },
    penalize: async (name, subject, options = {}) => store.charge(change(name, subject, options)),
    reward: async (name, subject, options = {}) => store.reward(change(name, subject, options)),
  };
}

/** What is done by hand, with a row in the trail. */
function changing({ store, live, actor }: LimiterParts, open: () => RequestReader): Changing {
  const everywhere = (): LivePolicies => {
    open();
    if (live !== undefined) return live;
    throw new LimiterInputError('live', 'must be on: without it this limiter would not refuse the subject itself');
  };
  const locate = (name: string, subject: string, options: ChangeOptions): string => {
    checkMembers('options', options, CHANGE_OPTIONS);
    return open().locate(open().find(name, subject), subject, options.action);
  };
  return {
    reset: async (name, subject, options = {}) =>
      store.reset(locate(name, subject, options), readByHand(options, actor)),
    block: async (name, subject, options = {}) => {
      checkMembers('options', options, BLOCK_OPTIONS);
      const { action, durationMs = 'forever' } = options;
      if (durationMs !== 'forever') wholeNumberWithin('durationMs', durationMs, 1, MAX_BLOCK_MS);
      const policy = open().find(name, subject);
      const key = open().locate(policy, subject, action);
      return store.block(policy, key, durationMs === 'forever' ? Infinity : durationMs, readByHand(options, actor));
    },
    unblock: async (name, subject, options = {}) =>
      store.unblock(locate(name, subject, options), readByHand(options, actor)),
    blockEverywhere: async (subject, options) => everywhere().blockEverywhere(subject, options),
    unblockEverywhere: async (subject, by) => everywhere().unblockEverywhere(subject, by),
  };
}
