import { warn } from '@spillway/redis/core';
import { unavailableDecision } from '../decision.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { LimiterStore, StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';

/** What answers decisions that are asked for after `close()`. */
export type AfterClose = Pick<LimiterStore, 'consume' | 'consumeAll' | 'peek'>;

/**
 * Makes an {@link AfterClose}. A process that shuts down still has requests under way: they are answered as while Redis is
 * away, by the policy's `onUnavailable`, and not by an error. It is told once by `process.emitWarning`, since a limiter
 * that is closed by mistake limits less.
 */
export function afterClose(): AfterClose {
  let windows: LimiterStore | undefined;
  let told = false;

  function tell(): void {
    if (told) return;
    told = true;
    warn('A closed limiter is asked for decisions: each policy answers by its onUnavailable', {
      code: 'SPILLWAY_LIMITER_CLOSED',
    });
  }

  async function decide(request: StoreRequest, operation: 'consume' | 'peek'): Promise<Decision> {
    tell();
    if (request.policy.onUnavailable !== 'local') return unavailableDecision(request.policy, 'client_ended');
    windows ??= memoryStore();
    return { ...(await windows[operation](request)), source: 'local', cause: 'client_ended' };
  }

  return {
    consume: (request) => decide(request, 'consume'),
    peek: (request) => decide(request, 'peek'),
    async consumeAll(requests) {
      const looks = await Promise.all(requests.map((request) => decide(request, 'peek')));
      if (looks.every(({ allowed }) => allowed))
        return Promise.all(requests.map((request) => decide(request, 'consume')));
      return looks.map((look) => (look.allowed ? withheld(look) : look));
    },
  };
}

function withheld(decision: Decision): Decision {
  return { ...decision, allowed: false, reason: 'withheld' };
}
