import { expect, it } from 'vitest';
import * as fetch from './fetch/index.ts';
import * as hono from './hono/index.ts';
import * as http from './http/index.ts';
import * as exported from './index.ts';

it('exports exactly this', () => {
  const names = [exported, hono, fetch, http].map((module) => Object.keys(module).toSorted());
  expect(names).toMatchInlineSnapshot(`
    [
      [
        "DEFAULT_ACTION",
        "LimiterClosedError",
        "LimiterInputError",
        "LimiterUnavailableError",
        "MAX_BLOCK_MS",
        "MAX_LIMIT",
        "MAX_WINDOW_MS",
        "MalformedBlockEventError",
        "MalformedNearLimitEventError",
        "auth",
        "createLimiter",
        "definePolicy",
        "generation",
        "memoryStore",
        "parseBlockEvent",
        "parseNearLimitEvent",
        "standard",
        "strict",
        "tiers",
      ],
      [
        "rateLimit",
      ],
      [
        "RateLimitNotConfiguredError",
        "applyRateLimit",
        "configureRateLimit",
      ],
      [
        "byApiKey",
        "byIp",
        "byJwtSubject",
        "denialProblem",
        "firstOf",
        "guard",
        "problemResponse",
        "rateLimitHeaders",
      ],
    ]
  `);
});
