import { DEFAULT_ACTION, type WindowKeys } from '../window-key.ts';
import type { Policy } from '../algorithms/registry.ts';

/** Keys kept for a policy; then all are let go of, and those that still matter come back one by one. */
const MAX_KEPT = 20_000;

/** Finds or makes the key of a window. */
export type KeyFinder = (policy: Policy, action: string, subject: string) => string;

/**
 * Keeps the keys of leased policies, whose windows are mostly decided in this process. Joining a key is cheap, but looking
 * the joined text up in a Map is not: it has to be copied together and hashed.
 */
export function hotKeys(keyOf: WindowKeys): KeyFinder {
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
