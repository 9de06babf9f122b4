import type { RedisClient } from './client.ts';

/**
 * The name of a channel of the client's database. Publish and subscribe know no databases, so the number is part of the
 * name: environments in two databases of one Redis hear nothing of each other.
 */
export function channelOf(client: RedisClient, name: string): string {
  return `spillway:${databaseOf(client)}:${name}`;
}

/** The database that the client's commands go to: the one selected last, else that of its options. A Cluster has but one. */
function databaseOf({ options, condition }: RedisClient): number {
  return condition?.select ?? options?.db ?? 0;
}
