export { defaultActor, parseChangeEvent } from './change.ts';
export type { ChangeEvent } from './change.ts';
export type { NodeRedisClient } from './adapters/node-redis-kinds.ts';
export { hotPathClusterOptions, hotPathOptions, isReady, nodeRedisClusterOptions, nodeRedisOptions } from './client.ts';
export type { RedisClient, RedisCommand } from './client.ts';
export { call } from './command.ts';
export { connectionOf } from './connection.ts';
export type { Connection } from './connection.ts';
export { deadlines } from './deadline.ts';
export type { Deadline, OnFailure } from './deadline.ts';
export { RedisOptionError } from './option-checks.ts';
export { EventFields, MalformedEventError } from './outbox.ts';
export { cannotWrite, faultOf, redisFault, RedisFault } from './fault.ts';
export type { RedisFaultCode, RedisFaultKind } from './fault.ts';
export { faultReporter } from './fault-reporter.ts';
export type { FaultListeners, FaultReporter, RecoveredOutage } from './fault-reporter.ts';
export { parseGapEvent } from './outbox.ts';
export type { GapEvent } from './outbox.ts';
export { joinFleet, instancesKey } from './instances.ts';
export type { FleetMembership, FleetOptions } from './instances.ts';
export { MalformedOutboxEntryError, outboxEventId, outboxFields, outboxKeys, parseOutboxEntry } from './outbox.ts';
export type { EventIdentity, OutboxEvent, OutboxKeys, RawEntry } from './outbox.ts';
export { channelOf, namespacedKey, NAMESPACE_PATTERN, namespaceProblem } from './option-checks.ts';
export { outageReporter } from './outages.ts';
export type { OutageReporter, OutageReporterOptions } from './outages.ts';
export { readRedisOption } from './redis-option.ts';
export type { RedisClientOrUrl, RedisOption } from './redis-option.ts';
export { parseRedisUrl } from './redis-url.ts';
export type { RedisNode, RedisTarget } from './redis-url.ts';
export { EncodedArgument } from './script.ts';
export type { ScriptArgument } from './script.ts';
export { defineScript } from './script.ts';
export type { LuaScript, RedisScript } from './script.ts';
export { shardOf, shardTag } from './shard-of.ts';
export { DEFAULT_SHARDS, MAX_SHARDS, watchShards } from './shards.ts';
export type { ShardsWatchOptions } from './shards.ts';
export { subscribe } from './subscribe.ts';
export type {
  DuplicableClient,
  HotPathClient,
  SubscriberClient,
  Subscription,
  SubscriptionOptions,
} from './subscribe.ts';
export { openHotPath } from './url-client.ts';
