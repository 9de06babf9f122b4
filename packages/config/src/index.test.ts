import { expect, it } from 'vitest';
import * as exported from './index.ts';

it('exports exactly this', () => {
  expect(Object.keys(exported).toSorted()).toMatchInlineSnapshot(`
    [
      "ConfigError",
      "anyRedisUrl",
      "logLevel",
      "postgresUrl",
      "readEnvironment",
      "redisUrl",
      "wholeNumber",
    ]
  `);
});
