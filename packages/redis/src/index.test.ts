import { expect, it } from 'vitest';
import * as exported from './index.ts';

it('exports exactly this', () => {
  expect(Object.keys(exported).toSorted()).toMatchInlineSnapshot(`
    [
      "DEFAULT_SHARDS",
      "MAX_SHARDS",
      "MalformedOutboxEntryError",
      "defineScript",
      "hotPathOptions",
      "luaFiles",
      "outboxEventId",
      "outboxFields",
      "outboxKeys",
      "parseOutboxEntry",
      "shardOf",
      "shardTag",
      "subscribe",
    ]
  `);
});
