import type { RedisClient } from './client.ts';

/*
 * A namespace parts deployments that share one Redis: it is in every key, behind the hash tag's first letters, and in every
 * channel. None (`''`) is a namespace like another, so that `''` and `staging` see nothing of each other.
 */

/** What a namespace is made of. */
export const NAMESPACE_PATTERN: RegExp = /^[a-z0-9_-]{1,64}$/u;

/** What is wrong with an option `namespace`, as text that follows its name; undefined: nothing. `''` stands for none. */
export function namespaceProblem(value: unknown): string | undefined {
  if (value === '' || (typeof value === 'string' && NAMESPACE_PATTERN.test(value))) return undefined;
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : typeof value;
  return `must be 1 to 64 of a-z, 0-9, _ and -, not ${shown}`;
}

/** A key without a hash tag, in a namespace. */
export function namespacedKey(name: string, namespace = ''): string {
  return namespace === '' ? name : `spillway:${namespace}@${name}`;
}

/**
 * The name of a channel of the client's database. Publish and subscribe ignore databases, so the number is part of the
 * name: environments in two databases of one Redis don't get each other's messages.
 */
export function channelOf(client: RedisClient, name: string, namespace = ''): string {
  const database = databaseOf(client);
  return `spillway:${namespace === '' ? database : `${namespace}@${database}`}:${name}`;
}

/** The database that the client's commands go to: the one selected last, else that of its options. A Cluster has but one. */
function databaseOf({ options, condition }: RedisClient): number {
  return condition?.select ?? options?.db ?? 0;
}

/** An option that can't work. `code` is `invalid_option`. */
export class RedisOptionError extends Error {
  readonly code = 'invalid_option';
  override readonly name = 'RedisOptionError';
  readonly option: string;

  constructor(option: string, expected: string, value: unknown) {
    super(`option "${option}" must be ${expected}, got ${JSON.stringify(value)}`);
    this.option = option;
  }
}

/** @throws {RedisOptionError} unless `name` can be part of a key. */
export function checkKeyName(option: string, name: string): void {
  if (!/^[a-z0-9_-]{1,64}$/.test(name)) throw new RedisOptionError(option, '1 to 64 of a-z, 0-9, _ and -', name);
}

/** @throws {RedisOptionError} unless `value` is a whole number from `min` to `max`. */
export function checkWhole(option: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RedisOptionError(option, `a whole number from ${min} to ${max}`, value);
  }
}
