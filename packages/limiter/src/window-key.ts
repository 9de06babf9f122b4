import { shardOf, shardTag } from '@spillway/redis/core';

/** The action of a request that names none. */
export const DEFAULT_ACTION = 'default';

/** The three things that make a window. */
export interface WindowName {
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
}

/** Makes window keys for a number of shards. */
export type WindowKeys = (policy: string, action: string, subject: string) => string;

/**
 * Keys of the form `{sw:07}:w:POLICY:LENGTH:ACTION:SUBJECT` (in a namespace `{sw:NAMESPACE:07}:w:…`), where POLICY is a policy's name. It has no colon,
 * and the action is preceded by its length in UTF-16 units, so that no two different triples make the same key whatever
 * is in them. The default action is left out with its length (`…:w:POLICY::SUBJECT`): nearly all keys have it, and Redis
 * hashes a key several times a decision.
 */
export function windowKeys(shards: number, namespace = ''): WindowKeys {
  const prefixes = Array.from({ length: shards }, (_, shard) => `${shardTag(shard, namespace)}:w:`);
  return (policy, action, subject) => {
    const prefix = prefixes[shardOf(subject, shards)];
    if (action === DEFAULT_ACTION) return `${prefix}${policy}::${subject}`;
    return `${prefix}${policy}:${action.length}:${action}:${subject}`;
  };
}

/** Reads a window key back; undefined when it isn't one. */
export function parseWindowKey(key: string): WindowName | undefined {
  const match = /^\{sw:(?:[a-z0-9_-]+:)?\d+\}:w:([a-z0-9_-]+):(\d*):/.exec(key);
  if (match === null) return undefined;
  const [head, policy = '', length = ''] = match;
  if (length === '') return { policy, action: DEFAULT_ACTION, subject: key.slice(head.length) };
  const end = head.length + Number(length);
  if (key[end] !== ':') return undefined;
  return { policy, action: key.slice(head.length, end), subject: key.slice(end + 1) };
}
