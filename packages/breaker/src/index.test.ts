import { expect, it } from 'vitest';
import * as fetch from './fetch/index.ts';
import * as hono from './hono/index.ts';
import * as exported from './index.ts';
import * as opentelemetry from './opentelemetry/index.ts';
import * as prometheus from './prometheus/index.ts';

it('exports exactly this', () => {
  const modules = { exported, fetch, hono, opentelemetry, prometheus };
  const names = Object.entries(modules).map(([name, module]) => [name, Object.keys(module).toSorted()]);
  expect(Object.fromEntries(names)).toMatchInlineSnapshot(`
    {
      "exported": [
        "BREAKER_EVENT",
        "BreakerInputError",
        "BreakersNotConfiguredError",
        "CallTimeoutError",
        "CircuitOpenError",
        "StoreUnavailableError",
        "aiProvider",
        "builtInPresets",
        "callWithin",
        "checkName",
        "configureCircuitBreakers",
        "createBreakers",
        "createClassifier",
        "defaultClassifier",
        "definePreset",
        "email",
        "hotPathClusterOptions",
        "hotPathOptions",
        "maskSecrets",
        "memoryStore",
        "mergeBatches",
        "openHotPath",
        "parseBreakerEvent",
        "redisStore",
        "step",
        "storage",
        "webhook",
        "withCircuitBreaker",
        "withFallback",
      ],
      "fetch": [
        "breakerFetch",
      ],
      "hono": [
        "circuitOpenAnswers",
        "onCircuitOpen",
      ],
      "opentelemetry": [
        "openTelemetryMetrics",
      ],
      "prometheus": [
        "prometheusMetrics",
      ],
    }
  `);
});
