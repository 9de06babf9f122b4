import type { Policy } from '../algorithms/registry.ts';
import { BY_HAND, checkSignal, readByHand, wholeNumberWithin } from '../checks.ts';
import type { RequestReader } from '../decide/1-request.ts';
import { type Decider, withSlot } from '../decide/2-local.ts';
import { combine } from '../decision.ts';
import { checkMembers, LimiterClosedError, LimiterInputError } from '../errors.ts';
import type { DecisionCounter } from '../events/decision-counts.ts';
import type { FirstRead } from '../live/first-read.ts';
import type { LivePolicies } from '../live/live-policies.ts';
import { MAX_BLOCK_MS } from '../policy.ts';
import type { StoreRequest, StoreWindow } from '../store/store.ts';
import type { ConsumeOptions, Decision } from '../types.ts';
import type { ChangeOptions, Limiter } from './limiter.ts';
import { hold, MAX_TIMER_MS, type Waiting, waiting } from './waiting.ts';

const NO_OPTIONS: ConsumeOptions = {};
const ACTION_OPTIONS = ['action'];
const CHANGE_OPTIONS = ['action', ...BY_HAND];
const WAIT_OPTIONS = ['action', 'cost', 'maxWaitMs', 'signal'];
const BLOCK_OPTIONS = ['durationMs', ...CHANGE_OPTIONS];

/** What the operations are made of. */
export interface LimiterParts {
  readonly decider: Decider;
  readonly policies: ReadonlyMap<string, Policy>;
  readonly requests: RequestReader;
  readonly live: LivePolicies | undefined;
  /** What decisions wait for at first. */
  readonly firstRead?: FirstRead | undefined;
  /** Actor of changes that name none. */
  readonly actor: string;
  readonly counter: Pick<DecisionCounter, 'close'> | undefined;
}

type Deciding = Pick<Limiter, 'consume' | 'consumeAll' | 'peek' | 'waitFor' | 'acquire'>;
type Managing = Pick<Limiter, 'release' | 'renew' | 'penalize' | 'reward'>;
type Changing = Pick<Limiter, 'reset' | 'block' | 'unblock' | 'blockEverywhere' | 'unblockEverywhere'>;

/** The limiter's operations: each reads its input, and asks the decider. */
export function limiterFrom(parts: LimiterParts): Limiter {
  const { decider, policies, live, firstRead, counter } = parts;
  const waiters = waiting();
  let closed = false;
  const open = (): RequestReader => {
    if (closed) throw new LimiterClosedError();
    return parts.requests;
  };
  return {
    policies,
    ...(live === undefined ? {} : { live }),
    ...afterFirstRead({ ...deciding(parts, open, waiters), ...managing(decider, open) }, firstRead),
    ...changing(parts, open),
    close: async () => {
      if (closed) return;
      closed = true;
      waiters.close();
      await Promise.all([live?.close(), decider.close(), counter?.close()]);
    },
  };
}

/** Policies by the one that they stand for: what a policy is sent as is kept with it, and requests of one policy travel together. */
const blockless = new WeakMap<Policy, Policy>();

/** The policy of requests made by `waitFor`, which never begin a block. */
function withoutBlock(policy: Policy): Policy {
  const known = blockless.get(policy) ?? { ...policy, blockMs: 0 };
  blockless.set(policy, known);
  return known;
}

/** The operations that go by live entries: the first ones wait until those have been read. */
function afterFirstRead(now: Deciding & Managing, first: FirstRead | undefined): Deciding & Managing {
  if (first === undefined) return now;
  const after =
    <Args extends readonly unknown[], Answer>(operation: (...args: Args) => Promise<Answer>) =>
    (...args: Args): Promise<Answer> =>
      first.isOver ? operation(...args) : first.wait().then(() => operation(...args));
  return {
    consume: (name, subject, options) =>
      first.isOver ? now.consume(name, subject, options) : first.wait().then(() => now.consume(name, subject, options)),
    consumeAll: after(now.consumeAll),
    peek: after(now.peek),
    waitFor: after(now.waitFor),
    acquire: after(now.acquire),
    penalize: after(now.penalize),
    reward: after(now.reward),
    release: after(now.release),
    renew: after(now.renew),
  };
}

// Bad input must reject, never throw past a `.catch`. The two hottest methods see to it by hand: `async` would cost
// further turns of the microtask queue.
function deciding(
  { decider, requests: reader }: LimiterParts,
  open: () => RequestReader,
  waiters: Pick<Waiting, 'wait'>,
): Deciding {
  function charge(request: StoreRequest): Promise<Decision> {
    const decision = decider.consume(request);
    return request.slot === undefined ? decision : decision.then((answer) => withSlot(answer, request));
  }

  return {
    consume(name, subject, options = NO_OPTIONS) {
      try {
        const policy = reader.find(name, subject);
        if (options !== NO_OPTIONS) reader.checkOptions(policy, options);
        return decider.known(policy, subject, options) ?? charge(reader.make(policy, subject, options));
      } catch (error) {
        return Promise.reject(error);
      }
    },
    consumeAll: async (combined) => combine(await decider.consumeAll(reader.together(combined))),
    peek: async (name, subject, options = NO_OPTIONS) => {
      const policy = reader.find(name, subject);
      reader.checkOptions(policy, options);
      const known = decider.knownOnLook(policy, subject, options);
      return known ?? decider.peek(reader.make(policy, subject, options));
    },
    waitFor: async (name, subject, waitOptions) => {
      checkMembers('options', waitOptions, WAIT_OPTIONS);
      const { maxWaitMs, signal, ...options } = waitOptions;
      wholeNumberWithin('maxWaitMs', maxWaitMs, 0, MAX_TIMER_MS);
      checkSignal(signal);
      const policy = open().find(name, subject);
      const asked = open().request(policy, subject, options);
      const patient: StoreRequest = policy.blockMs === 0 ? asked : { ...asked, policy: withoutBlock(policy) };
      const attempt = async (): Promise<Decision> => decider.listed(policy, subject) ?? charge(patient);
      // Units that were decided in the store's place were not charged there.
      const undo = async ({ reason, source, slot }: Decision): Promise<unknown> => {
        if (reason !== 'allowed' || (source !== undefined && slot === undefined)) return undefined;
        return decider.reward(slot === undefined ? asked : { ...asked, slot });
      };
      return waiters.wait({ key: asked.key, maxWaitMs, signal, attempt, undo });
    },
    acquire: async (name, subject, options = NO_OPTIONS) => {
      const policy = reader.findWithSlots(name, subject);
      const asked = reader.request(policy, subject, options);
      const known = decider.listed(policy, subject);
      const decision = known ?? (await charge(asked));
      if (!decision.allowed) return undefined;
      // A request that the lists admitted, or another algorithm by a live change, holds no slot.
      const { slot } = decision;
      const held = known === undefined && slot !== undefined ? { ...asked, slot } : undefined;
      return hold(decision, {
        windowMs: policy.windowMs,
        renew: async () => held && decider.renew(held),
        release: async () => held && decider.reward(held),
      });
    },
  };
}

function managing(decider: Decider, open: () => RequestReader): Managing {
  const change = (name: string, subject: string, options: ConsumeOptions): StoreRequest =>
    open().change(open().find(name, subject), subject, options);
  return {
    release: async (name, subject, slot, options = {}) => {
      checkMembers('options', options, ACTION_OPTIONS);
      const held = open().slotRequest(name, subject, slot, options.action);
      if (held !== undefined) await decider.reward(held);
    },
    renew: async (name, subject, slot, options = {}) => {
      checkMembers('options', options, ACTION_OPTIONS);
      const held = open().slotRequest(name, subject, slot, options.action);
      if (held !== undefined) await decider.renew(held);
    },
    penalize: async (name, subject, options = {}) => decider.charge(change(name, subject, options)),
    reward: async (name, subject, options = {}) => decider.reward(change(name, subject, options)),
  };
}

/** What is done by hand, with a row in the trail. */
function changing({ decider, live, actor }: LimiterParts, open: () => RequestReader): Changing {
  const everywhere = (): LivePolicies => {
    open();
    if (live !== undefined) return live;
    throw new LimiterInputError('live', 'must be on: otherwise this limiter itself would not refuse the subject');
  };
  const locate = (name: string, subject: string, options: ChangeOptions): StoreWindow => {
    checkMembers('options', options, CHANGE_OPTIONS);
    return open().locate(open().find(name, subject), subject, options.action);
  };
  return {
    reset: async (name, subject, options = {}) =>
      decider.reset(locate(name, subject, options), readByHand(options, actor)),
    block: async (name, subject, options = {}) => {
      checkMembers('options', options, BLOCK_OPTIONS);
      const { action, durationMs = 'forever' } = options;
      if (durationMs !== 'forever') wholeNumberWithin('durationMs', durationMs, 1, MAX_BLOCK_MS);
      const policy = open().find(name, subject);
      const window = open().locate(policy, subject, action);
      return decider.block(window, durationMs === 'forever' ? Infinity : durationMs, readByHand(options, actor));
    },
    unblock: async (name, subject, options = {}) =>
      decider.unblock(locate(name, subject, options), readByHand(options, actor)),
    blockEverywhere: async (subject, options) => everywhere().blockEverywhere(subject, options),
    unblockEverywhere: async (subject, by) => everywhere().unblockEverywhere(subject, by),
  };
}
