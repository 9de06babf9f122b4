import { setTimeout as delay } from 'node:timers/promises';
import type { Environment } from '../read-environment.ts';
import { hasExporter } from './config.ts';

/** A collector that is away must not hold up the end of a process, which supervisors wait for. */
const SHUTDOWN_MS = 1_000;

/** OpenTelemetry in a process. */
export interface Telemetry {
  /** False when nothing is configured: then the SDK isn't even loaded, and spans are no-ops. */
  readonly active: boolean;
  /** Sends what is left, if that can be done within a second. Never rejects. */
  shutdown(): Promise<void>;
}

/** Identifies the program in its spans. */
export interface StartTelemetryOptions {
  /** Name of the service unless `OTEL_SERVICE_NAME` says another. */
  readonly serviceName: string;
  /** `process.env` */
  readonly env: Environment;
  /** Called with the reason if the last spans could not be sent. */
  readonly onError: (error: unknown) => void;
}

/**
 * Starts OpenTelemetry's own Node SDK, which reads the standard variables itself, when they configure an exporter. Call it
 * before anything that makes spans.
 * @example
 * ```ts
 * const telemetry = await startTelemetry({ serviceName: 'spillway-api', env: process.env, onError: console.warn });
 * ```
 */
export async function startTelemetry({ serviceName, env, onError }: StartTelemetryOptions): Promise<Telemetry> {
  if (!hasExporter(env)) return { active: false, shutdown: async () => undefined };
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const sdk = new NodeSDK(env['OTEL_SERVICE_NAME'] ? {} : { serviceName });
  sdk.start();
  return {
    active: true,
    shutdown: async () => Promise.race([sdk.shutdown().catch(onError), delay(SHUTDOWN_MS, undefined, { ref: false })]),
  };
}
