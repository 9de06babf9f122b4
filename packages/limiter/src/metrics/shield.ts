import { warn } from '@spillway/redis/core';

/**
 * Makes a wrapper that keeps what a caller's callbacks throw away from the request they are called in. The first error
 * becomes a process warning, later ones are dropped: a callback that fails mostly does so every time.
 */
export function shield(
  what: string,
): <Args extends readonly unknown[]>(callback: (...args: Args) => void) => (...args: Args) => void {
  let warned = false;
  return (callback) =>
    (...args) => {
      try {
        callback(...args);
      } catch (error) {
        if (warned) return;
        warned = true;
        warn(`${what} of the limiter threw: ${String(error)}`);
      }
    };
}
