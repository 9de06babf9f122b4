/** Something that ends when its caller aborts. */
export interface Abortable {
  /** Called once, with the signal's reason. Must not throw. */
  abort(reason: unknown): void;
}

interface Listeners {
  readonly waiting: Set<Abortable>;
  readonly onAbort: () => void;
}

const bySignal = new WeakMap<AbortSignal, Listeners>();

/**
 * Ends `call` when `signal` aborts. A signal may live as long as its process and have thousands of calls under way: it
 * gets one listener for all of them, and none when there are none.
 */
export function followSignal(signal: AbortSignal, call: Abortable): void {
  let listeners = bySignal.get(signal);
  if (listeners === undefined) {
    listeners = listenersOf(signal);
    bySignal.set(signal, listeners);
  }
  if (listeners.waiting.size === 0) signal.addEventListener('abort', listeners.onAbort);
  listeners.waiting.add(call);
}

/** The call is over: removes the listener from the signal. */
export function unfollowSignal(signal: AbortSignal, call: Abortable): void {
  const listeners = bySignal.get(signal);
  if (listeners?.waiting.delete(call) !== true) return;
  if (listeners.waiting.size === 0) signal.removeEventListener('abort', listeners.onAbort);
}

function listenersOf(signal: AbortSignal): Listeners {
  const waiting = new Set<Abortable>();
  const onAbort = (): void => {
    const calls = [...waiting];
    waiting.clear();
    signal.removeEventListener('abort', onAbort);
    for (const call of calls) call.abort(signal.reason);
  };
  return { waiting, onAbort };
}
