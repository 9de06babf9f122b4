import { shardOf, shardTag } from '@spillway/redis';
import type { Policy } from './types.ts';

/** The three things that make a window. */
export interface WindowName {
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
}

/** A policy in a key: its name, and unless it is a sliding log its algorithm, whose windows no other could read. */
export function keyName({ name, algorithm }: Pick<Policy, 'name' | 'algorithm'>): string {
  return algorithm === 'sliding-log' ? name : `${name}~${algorithm.replace('-', '')}`;
}

/** Makes window keys for a number of shards. */
export type WindowKeys = (policy: string, action: string, subject: string) => string;

/**
 * Keys of the form `{sw:07}:w:POLICY:LENGTH:ACTION:SUBJECT`, where POLICY is a policy's {@link keyName}. It has no colon,
 * and the action is preceded by its length in UTF-16 units, so that no two different triples make the same key whatever
 * is in them.
 */
export function windowKeys(shards: number): WindowKeys {
  const prefixes = Array.from({ length: shards }, (_, shard) => `${shardTag(shard)}:w:`);
  return (policy, action, subject) =>
    `${prefixes[shardOf(subject, shards)]}${policy}:${action.length}:${action}:${subject}`;
}

/** Reads a window key back; undefined when it isn't one. */
export function parseWindowKey(key: string): WindowName | undefined {
  const match = /^\{sw:\d+\}:w:([a-z0-9_-]+)(?:~[a-z]+)?:(\d+):/.exec(key);
  if (match === null) return undefined;
  const [head, policy = '', length = ''] = match;
  const end = head.length + Number(length);
  if (key[end] !== ':') return undefined;
  return { policy, action: key.slice(head.length, end), subject: key.slice(end + 1) };
}
