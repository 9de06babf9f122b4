import { combine } from './decision.ts';
import { LimiterClosedError } from './errors.ts';
import type { Limiter } from './limiter-interface.ts';
import { MAX_BLOCK_MS, wholeNumberWithin } from './policy/policy.ts';
import type { RequestReader } from './request-reader.ts';
import { hold, withSlot } from './slots/hold.ts';
import type { LimiterStore, StoreRequest } from './store/store.ts';
import type { Decision, Policy } from './types.ts';
import { waiting } from './wait/wait-for.ts';

/** The longest that a timer can wait. */
const MAX_WAIT_MS = 2 ** 31 - 1;

/** What the operations are made of. */
export interface LimiterParts {
  readonly store: LimiterStore;
  readonly policies: ReadonlyMap<string, Policy>;
  readonly requests: RequestReader;
}

type Deciding = Pick<Limiter, 'consume' | 'consumeAll' | 'peek' | 'waitFor' | 'acquire'>;
type Managing = Pick<Limiter, 'release' | 'penalize' | 'reward' | 'reset' | 'block' | 'unblock'>;

/** The limiter's operations over a store: input is read, the store is asked. */
export function limiterOver(parts: LimiterParts): Limiter {
  let closed = false;
  const open = (): RequestReader => {
    if (closed) throw new LimiterClosedError();
    return parts.requests;
  };
  return {
    policies: parts.policies,
    ...deciding(parts.store, open),
    ...managing(parts.store, open),
    close: async () => {
      if (closed) return;
      closed = true;
      await parts.store.close();
    },
  };
}

// The methods are `async` on purpose: bad input must reject, never throw past a `.catch`.
function deciding(store: LimiterStore, open: () => RequestReader): Deciding {
  const waitInTurn = waiting();

  function consume(request: StoreRequest): Promise<Decision> {
    const decision = store.consume(request);
    return request.slot === undefined ? decision : decision.then((answer) => withSlot(answer, request));
  }

  return {
    consume: async (name, subject, options = {}) => consume(open().request(name, subject, options)),
    consumeAll: async (combined) => {
      const asked = open().together(combined);
      const decisions = await store.consumeAll(asked);
      return combine(decisions.map((decision, index) => withSlot(decision, asked[index])));
    },
    peek: async (name, subject, options = {}) => store.peek(open().request(name, subject, options)),
    waitFor: async (name, subject, { maxWaitMs, signal, ...options }) => {
      wholeNumberWithin('maxWaitMs', maxWaitMs, 0, MAX_WAIT_MS);
      const asked = open().request(name, subject, options);
      // Waiting is no offence: it starts no block.
      const patient: StoreRequest = { ...asked, policy: { ...asked.policy, blockMs: 0 } };
      return waitInTurn({ key: asked.key, maxWaitMs, signal, attempt: () => consume(patient) });
    },
    acquire: async (name, subject, options = {}) => {
      const asked = open().request(open().findConcurrency(name).name, subject, options);
      const decision = await consume(asked);
      if (!decision.allowed) return undefined;
      return hold(decision, {
        windowMs: asked.policy.windowMs,
        renew: () => store.renew(asked),
        release: () => store.reward(asked),
      });
    },
  };
}

function managing(store: LimiterStore, open: () => RequestReader): Managing {
  const locate = (name: string, subject: string, action: string | undefined): string =>
    open().locate(open().find(name), subject, action);
  return {
    release: async (name, subject, slot, { action } = {}) => {
      await store.reward(open().slotRequest(name, subject, slot, action));
    },
    penalize: async (name, subject, options = {}) => store.charge(open().request(name, subject, options)),
    reward: async (name, subject, options = {}) => store.reward(open().request(name, subject, options)),
    reset: async (name, subject, { action } = {}) => store.reset(locate(name, subject, action)),
    block: async (name, subject, { action, durationMs = 'forever' } = {}) => {
      if (durationMs !== 'forever') wholeNumberWithin('durationMs', durationMs, 1, MAX_BLOCK_MS);
      const policy = open().find(name);
      const key = open().locate(policy, subject, action);
      return store.block(policy, key, durationMs === 'forever' ? Infinity : durationMs);
    },
    unblock: async (name, subject, { action } = {}) => store.unblock(locate(name, subject, action)),
  };
}
