import { setTimeout as delay } from 'node:timers/promises';
import { type Environment, readEnvironment } from './read-environment.ts';
import { z } from 'zod';
import { createHash } from 'node:crypto';
import { namespacedKey } from '@spillway/redis';
import { isSpanContextValid, type SpanContext, TraceFlags } from '@opentelemetry/api';

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

/** What keeping and taking notes needs of Redis; `Redis` and `Cluster` of ioredis fit. */
export interface NoteRedis {
  set(key: string, value: string, px: 'PX', milliseconds: number, nx: 'NX'): Promise<unknown>;
  get(key: string): Promise<string | null>;
  del(key: string): Promise<unknown>;
}

/** Policy and subject of a block, which the decision and its event share. */
export interface Blocked {
  readonly policy: string;
  readonly subject: string;
}

/** An event that is later than this finds no note; its flush has no link then. */
const NOTE_MS = 60_000;

const TRACEPARENT = /^00-([\da-f]{32})-([\da-f]{16})-01$/u;

/** Spans and Redis speak of subjects as hashes only. */
function noteKey({ policy, subject }: Blocked, namespace: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([policy, subject]))
    .digest('base64url');
  return namespacedKey(`spillway:trace:${hash}`, namespace);
}

/**
 * Notes which span decided a block, so that the span that moves the block's event can link to it. The event itself carries no
 * trace: it is written by the script that decides, whose arguments every decision would pay for. Only sampled spans leave notes,
 * and the first of a block stays.
 */
export async function noteTrace(redis: NoteRedis, blocked: Blocked, span: SpanContext, namespace = ''): Promise<void> {
  if (!isSpanContextValid(span) || (span.traceFlags & TraceFlags.SAMPLED) === 0) return;
  await redis.set(noteKey(blocked, namespace), `00-${span.traceId}-${span.spanId}-01`, 'PX', NOTE_MS, 'NX');
}

/** The spans that the notes of blocks name, each once; blocks without a note are left out. */
export async function readTraces(redis: NoteRedis, blocks: readonly Blocked[], namespace = ''): Promise<SpanContext[]> {
  const notes = await Promise.all(keysOf(blocks, namespace).map(async (key) => redis.get(key)));
  return notes.flatMap((note) => {
    const [, traceId, spanId] = TRACEPARENT.exec(note ?? '') ?? [];
    if (traceId === undefined || spanId === undefined) return [];
    return [{ traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true }];
  });
}

/** Deletes the notes of blocks, once the event of each is stored: a later block of the same subject has its own. */
export async function forgetTraces(redis: NoteRedis, blocks: readonly Blocked[], namespace = ''): Promise<void> {
  await Promise.all(keysOf(blocks, namespace).map(async (key) => redis.del(key)));
}

function keysOf(blocks: readonly Blocked[], namespace: string): readonly string[] {
  return [...new Set(blocks.map((blocked) => noteKey(blocked, namespace)))];
}
