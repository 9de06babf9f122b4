export { hotPathOptions } from './client.ts';
export type { RedisClient } from './client.ts';
export { MalformedOutboxEntryError, outboxEventId, outboxFields, outboxKeys, parseOutboxEntry } from './outbox.ts';
export type { EventIdentity, OutboxEvent, OutboxKeys, RawEntry } from './outbox.ts';
export { defineScript, luaFiles } from './script.ts';
export type { RedisScript, ScriptDefinition } from './script.ts';
export { DEFAULT_SHARDS, MAX_SHARDS, shardOf, shardTag } from './shards.ts';
export { subscribe } from './subscribe.ts';
export type { DuplicableClient, SubscriberClient, Subscription, SubscriptionOptions } from './subscribe.ts';
