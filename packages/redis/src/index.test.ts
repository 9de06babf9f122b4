import { expect, it } from 'vitest';
import * as core from './core.ts';
import * as exported from './index.ts';

it('exports exactly this', () => {
  expect(Object.keys(exported).toSorted()).toEqual([
    'DEFAULT_SHARDS',
    'EncodedArgument',
    'EventFields',
    'MAX_SHARDS',
    'MalformedEventError',
    'MalformedOutboxEntryError',
    'NAMESPACE_PATTERN',
    'RedisFault',
    'RedisOptionError',
    'call',
    'cannotWrite',
    'channelOf',
    'connectionOf',
    'deadlines',
    'defaultActor',
    'defineScript',
    'faultOf',
    'faultReporter',
    'hotPathClusterOptions',
    'hotPathOptions',
    'instancesKey',
    'isReady',
    'joinFleet',
    'namespaceProblem',
    'namespacedKey',
    'nodeRedisClusterOptions',
    'nodeRedisOptions',
    'openHotPath',
    'outageReporter',
    'outboxEventId',
    'outboxFields',
    'outboxKeys',
    'parseChangeEvent',
    'parseGapEvent',
    'parseOutboxEntry',
    'parseRedisUrl',
    'readRedisOption',
    'redisFault',
    'shardOf',
    'shardTag',
    'subscribe',
    'watchShards',
  ]);
});

it('exports exactly this to what is bundled for edge runtimes', () => {
  expect(Object.keys(core).toSorted().join(' ')).toEqual(
    'ApiFault RefusedRequest apiCalls apiOptionNames builtinModule defaultActor faultOf faultOfFetch faultReporter isCloudflareWorker monotonicClock readApiOptions shardOf shardTag tell thrownText unref warn',
  );
});
