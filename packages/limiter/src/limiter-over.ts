import type { DecisionCounter } from './decision-counts/decision-counter.ts';
import { combine, withheldUnasked } from './decision.ts';
import { LimiterClosedError } from './errors.ts';
import type { Gate } from './gate.ts';
import type { Limiter } from './limiter-interface.ts';
import type { LivePolicies } from './live/live-policies.ts';
import { MAX_BLOCK_MS, wholeNumberWithin } from './policy/policy.ts';
import { checkOptions, type RequestReader } from './request-reader.ts';
import { hold, withSlot } from './slots/hold.ts';
import type { LimiterStore, StoreRequest } from './store/store.ts';
import type { CombinedRequest, ConsumeOptions, Decision, Policy } from './types.ts';
import { DEFAULT_ACTION } from './window-key.ts';
import { waiting } from './wait/wait-for.ts';

/** The longest that a timer can wait. */
const MAX_WAIT_MS = 2 ** 31 - 1;

const NO_OPTIONS: ConsumeOptions = {};

/** What the operations are made of. */
export interface LimiterParts {
  readonly store: LimiterStore;
  readonly policies: ReadonlyMap<string, Policy>;
  readonly requests: RequestReader;
  readonly gate: Gate;
  readonly live: LivePolicies | undefined;
  readonly counter: Pick<DecisionCounter, 'close'> | undefined;
}

type Deciding = Pick<Limiter, 'consume' | 'consumeAll' | 'peek' | 'waitFor' | 'acquire'>;
type Managing = Pick<Limiter, 'release' | 'penalize' | 'reward' | 'reset' | 'block' | 'unblock'>;

/** The limiter's operations over a store: input is read, then the gate and the store are asked. */
export function limiterOver(parts: LimiterParts): Limiter {
  const { store, policies, live, counter } = parts;
  let closed = false;
  const open = (): RequestReader => {
    if (closed) throw new LimiterClosedError();
    return parts.requests;
  };
  return {
    policies,
    ...(live === undefined ? {} : { live }),
    ...deciding(parts, open),
    ...managing(store, open),
    close: async () => {
      if (closed) return;
      closed = true;
      live?.close();
      await Promise.all([store.close(), counter?.close()]);
    },
  };
}

// Bad input must reject, never throw past a `.catch`. The two hottest methods see to it by hand: `async` would cost
// further turns of the microtask queue.
function deciding({ store, gate }: LimiterParts, open: () => RequestReader): Deciding {
  const waitInTurn = waiting();

  function charge(request: StoreRequest): Promise<Decision> {
    const decision = store.consume(request);
    return request.slot === undefined ? decision : decision.then((answer) => withSlot(answer, request));
  }

  return {
    consume(name, subject, options = NO_OPTIONS) {
      try {
        const reader = open();
        const policy = reader.find(name, subject);
        checkOptions(policy, options);
        return (
          gate.consume(policy, subject, options.action ?? DEFAULT_ACTION) ??
          charge(reader.make(policy, subject, options))
        );
      } catch (error) {
        return Promise.reject(error);
      }
    },
    consumeAll: async (combined) => combine(await decideAll({ store, gate }, open(), combined)),
    peek: async (name, subject, options = NO_OPTIONS) => {
      const reader = open();
      const policy = reader.find(name, subject);
      checkOptions(policy, options);
      const known = gate.peek(policy, subject, options.action ?? DEFAULT_ACTION);
      return known ?? store.peek(reader.make(policy, subject, options));
    },
    waitFor: async (name, subject, { maxWaitMs, signal, ...options }) => {
      wholeNumberWithin('maxWaitMs', maxWaitMs, 0, MAX_WAIT_MS);
      const policy = open().find(name, subject);
      const asked = open().request(policy, subject, options);
      // Waiting is no offence: it starts no block.
      const patient: StoreRequest = policy.blockMs === 0 ? asked : { ...asked, policy: { ...policy, blockMs: 0 } };
      const attempt = async (): Promise<Decision> => gate.listed(policy, subject) ?? charge(patient);
      return waitInTurn({ key: asked.key, maxWaitMs, signal, attempt });
    },
    acquire: async (name, subject, options = NO_OPTIONS) => {
      const policy = open().findConcurrency(name, subject);
      const asked = open().request(policy, subject, options);
      const known = gate.listed(policy, subject);
      const decision = known ?? (await charge(asked));
      if (!decision.allowed) return undefined;
      // Whoever the gate lets in holds nothing that could be lost.
      const keep = known === undefined;
      return hold(decision, {
        windowMs: policy.windowMs,
        renew: async () => keep && store.renew(asked),
        release: async () => keep && store.reward(asked),
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
  const locate = (name: string, subject: string, action: string | undefined): string =>
    open().locate(open().find(name, subject), subject, action);
  const read = (name: string, subject: string, options: ConsumeOptions): StoreRequest =>
    open().request(open().find(name, subject), subject, options);
  return {
    release: async (name, subject, slot, { action } = {}) => {
      await store.reward(open().slotRequest(name, subject, slot, action));
    },
    penalize: async (name, subject, options = {}) => store.charge(read(name, subject, options)),
    reward: async (name, subject, options = {}) => store.reward(read(name, subject, options)),
    reset: async (name, subject, { action } = {}) => store.reset(locate(name, subject, action)),
    block: async (name, subject, { action, durationMs = 'forever' } = {}) => {
      if (durationMs !== 'forever') wholeNumberWithin('durationMs', durationMs, 1, MAX_BLOCK_MS);
      const policy = open().find(name, subject);
      const key = open().locate(policy, subject, action);
      return store.block(policy, key, durationMs === 'forever' ? Infinity : durationMs);
    },
    unblock: async (name, subject, { action } = {}) => store.unblock(locate(name, subject, action)),
  };
}
