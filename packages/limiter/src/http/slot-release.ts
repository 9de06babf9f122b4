import type { Limiter } from '../limiter-interface.ts';
import type { Decision } from '../types.ts';

/** Whose slots they are. */
export interface SlotHolder {
  readonly limiter: Pick<Limiter, 'release'>;
  readonly subject: string;
  readonly action: string | undefined;
}

/**
 * What gives back the slots that a request holds under `concurrency` policies, once; undefined when it holds none. A
 * slot that can't be given back ends by itself after its policy's `windowMs`.
 */
export function slotRelease(
  { limiter, subject, action }: SlotHolder,
  decision: Decision | readonly Decision[],
): (() => void) | undefined {
  if ('policy' in decision && decision.slot === undefined) return undefined;
  const held = ('policy' in decision ? [decision] : decision).filter(({ slot }) => slot !== undefined);
  if (held.length === 0) return undefined;
  let released = false;
  return () => {
    if (released) return;
    released = true;
    for (const { policy, slot = '' } of held) {
      void limiter.release(policy, subject, slot, action === undefined ? {} : { action }).catch(() => undefined);
    }
  };
}
