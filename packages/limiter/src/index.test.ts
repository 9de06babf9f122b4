import { expect, it } from 'vitest';
import * as express from './express/index.ts';
import * as expressRateLimit from './express-rate-limit/index.ts';
import * as fastify from './fastify/index.ts';
import * as fetch from './fetch/index.ts';
import * as hono from './hono/index.ts';
import * as honoRateLimiter from './hono-rate-limiter/index.ts';
import * as http from './http/index.ts';
import * as httpStore from './http-store/index.ts';
import * as exported from './index.ts';
import * as opentelemetry from './opentelemetry/index.ts';
import * as prometheus from './prometheus/index.ts';

const subpaths = { express, expressRateLimit, fastify, honoRateLimiter, httpStore, opentelemetry, prometheus };

it('exports exactly this', () => {
  const names = [exported, hono, fetch, http].map((module) => Object.keys(module).toSorted());
  expect(names).toEqual([
    [
      'AUTO_LOG_LIMIT',
      'DEFAULT_ACTION',
      'LimiterClosedError',
      'LimiterInputError',
      'LimiterUnavailableError',
      'LimiterWaitError',
      'LiveConflictError',
      'LiveEntryError',
      'MAX_BLOCK_MS',
      'MAX_LIMIT',
      'MAX_LOG_LIMIT',
      'MAX_WINDOW_MS',
      'RedisFault',
      'auth',
      'capacityOf',
      'checkListEntry',
      'checkOverride',
      'checkPlan',
      'createLimiter',
      'definePolicy',
      'entriesFor',
      'generation',
      'hotPathClusterOptions',
      'hotPathOptions',
      'livePolicies',
      'memoryStore',
      'nodeRedisClusterOptions',
      'nodeRedisOptions',
      'openHotPath',
      'parseBlockEvent',
      'parseDecisionCountsEvent',
      'parseNearLimitEvent',
      'policyAlgorithms',
      'policyFor',
      'standard',
      'strict',
      'tiers',
    ],
    ['rateLimit'],
    ['RateLimitNotConfiguredError', 'applyRateLimit', 'configureRateLimit'],
    [
      'UnusableIdentityError',
      'byApiKey',
      'byIp',
      'byJwtSubject',
      'denialProblem',
      'firstOf',
      'guard',
      'plans',
      'problemResponse',
      'rateLimitHeaders',
      'withRetryJitter',
    ],
  ]);
});

it('exports exactly this for other libraries', () => {
  const names = Object.entries(subpaths).map(([name, module]) => [name, ...Object.keys(module).toSorted()].join(' '));
  expect(names).toEqual([
    'express rateLimit',
    'expressRateLimit SpillwayStore StoreNotInitializedError StoreReusedError',
    'fastify rateLimit',
    'honoRateLimiter SpillwayStore StoreNotInitializedError StoreReusedError',
    'httpStore ApiFault LimiterClosedError LimiterInputError LimiterUnavailableError LimiterWaitError auth createLimiter definePolicy generation httpStore memoryStore standard strict tiers',
    'opentelemetry openTelemetryMetrics',
    'prometheus MetricNameTakenError prometheusMetrics',
  ]);
});
