import { expect, it } from 'vitest';
import * as events from './events.ts';
import * as exchange from './exchange.ts';
import * as fetch from './fetch/index.ts';
import * as hono from './hono/index.ts';
import * as httpStore from './http-store/index.ts';
import * as exported from './index.ts';
import * as opentelemetry from './opentelemetry/index.ts';
import * as prometheus from './prometheus/index.ts';

it('exports exactly this', () => {
  const modules = { exported, events, exchange, fetch, httpStore, hono, opentelemetry, prometheus };
  const names = Object.entries(modules).map(([name, module]) => [name, Object.keys(module).toSorted()]);
  expect(Object.fromEntries(names)).toEqual({
    events: ['BREAKER_EVENT', 'parseBreakerEvent'],
    exchange: ['MOST_BREAKERS', 'MOST_COMMANDS', 'breakerExchange', 'exchangeOver'],
    exported: [
      'BreakerInputError',
      'BreakersNotConfiguredError',
      'CallTimeoutError',
      'CircuitOpenError',
      'StoreUnavailableError',
      'builtInPresets',
      'configureCircuitBreakers',
      'createBreakers',
      'createClassifier',
      'defaultClassifier',
      'definePreset',
      'hotPathClusterOptions',
      'hotPathOptions',
      'memoryStore',
      'nodeRedisClusterOptions',
      'nodeRedisOptions',
      'openHotPath',
      'withCircuitBreaker',
    ],
    fetch: ['breakerFetch'],
    hono: ['circuitOpenHandler', 'handleCircuitOpen'],
    httpStore: [
      'ApiFault',
      'BreakerInputError',
      'CallTimeoutError',
      'CircuitOpenError',
      'StoreUnavailableError',
      'builtInPresets',
      'createBreakers',
      'createClassifier',
      'defaultClassifier',
      'definePreset',
      'httpStore',
      'memoryStore',
    ],
    opentelemetry: ['openTelemetryMetrics'],
    prometheus: ['prometheusMetrics'],
  });
});
