import { type Environment, readEnvironment } from '../read-environment.ts';
import { z } from 'zod';

const variables = z.object({
  OTEL_SDK_DISABLED: z.string().optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: z.string().optional(),
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: z.string().optional(),
  OTEL_TRACES_EXPORTER: z.string().optional(),
  OTEL_METRICS_EXPORTER: z.string().optional(),
});

/**
 * Whether the standard variables of OpenTelemetry name somewhere to send to: an endpoint, or an exporter other than `none`. All
 * other variables of the standard are the SDK's own affair.
 */
export function hasExporter(env: Environment): boolean {
  const found = readEnvironment(variables, env);
  if (found.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return false;
  const endpoints = [
    found.OTEL_EXPORTER_OTLP_ENDPOINT,
    found.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    found.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
  ];
  const exporters = [found.OTEL_TRACES_EXPORTER, found.OTEL_METRICS_EXPORTER].filter((name) => name !== undefined);
  if (exporters.some((name) => name !== 'none')) return true;
  return endpoints.some((endpoint) => endpoint !== undefined) && exporters.length < 2;
}
