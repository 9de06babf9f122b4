import { expect, it } from 'vitest';
import * as exported from './index.ts';

it('exports exactly this', () => {
  expect(Object.keys(exported).toSorted()).toMatchInlineSnapshot(`
    [
      "DEFAULT_SHARDS",
      "MAX_SHARDS",
      "MalformedEventError",
      "MalformedOutboxEntryError",
      "PreparedArgument",
      "RedisFault",
      "RedisOptionError",
      "call",
      "cannotWrite",
      "channelOf",
      "connectionOf",
      "deadlines",
      "defaultActor",
      "defineScript",
      "eventFields",
      "faultOf",
      "faultReporter",
      "hotPathClusterOptions",
      "hotPathOptions",
      "instances",
      "instancesKey",
      "openHotPath",
      "openRedis",
      "outageReporter",
      "outboxEventId",
      "outboxFields",
      "outboxKeys",
      "parseChangeEvent",
      "parseGapEvent",
      "parseOutboxEntry",
      "parseRedisUrl",
      "readRedisOption",
      "redisFault",
      "shardOf",
      "shardTag",
      "subscribe",
    ]
  `);
});
