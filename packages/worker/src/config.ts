import { DEFAULT_SHARDS, MAX_SHARDS } from '@spillway/redis';
import { z } from 'zod';

/** What the worker's process is told by its environment. */
export interface WorkerConfig {
  /** `REDIS_URL`: the Redis of the limiters. */
  readonly redisUrl: string;
  /** `QUEUE_REDIS_URL`: the Redis of the queue. @default the limiters' */
  readonly queueRedisUrl: string;
  /** `DATABASE_URL` */
  readonly databaseUrl: string;
  /** `SPILLWAY_SHARDS`: as many as the limiters have. @default 16 */
  readonly shards: number;
  /** `SPILLWAY_SINK_CONCURRENCY`: jobs at once. @default 2 */
  readonly sinkConcurrency: number;
  /** `SPILLWAY_SHUTDOWN_TIMEOUT_MS`: longest orderly shutdown. @default 4000 */
  readonly shutdownTimeoutMs: number;
  /** `LOG_LEVEL` @default 'info' */
  readonly logLevel: LogLevel;
}

/** pino's levels. */
type LogLevel = (typeof LOG_LEVELS)[number];

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** A variable that is missing or makes no sense. The message names it and shows its value, without credentials. */
export class ConfigError extends Error {
  readonly code = 'invalid_config';
  override readonly name = 'ConfigError';
  readonly variable: string;

  constructor(variable: string, expected: string, value: string | undefined) {
    super(`${variable} must be ${expected}, ${value === undefined ? 'but is not set' : `got ${shown(value)}`}`);
    this.variable = variable;
  }
}

const redisUrl = z.string('a redis:// or rediss:// URL').regex(/^rediss?:\/\/./u, 'a redis:// or rediss:// URL');

const environment = z.object({
  REDIS_URL: redisUrl,
  QUEUE_REDIS_URL: redisUrl.optional(),
  DATABASE_URL: z.string('a postgres:// URL').regex(/^postgres(ql)?:\/\/./u, 'a postgres:// URL'),
  SPILLWAY_SHARDS: wholeNumber(1, MAX_SHARDS).default(DEFAULT_SHARDS),
  SPILLWAY_SINK_CONCURRENCY: wholeNumber(1, 1_000).default(2),
  SPILLWAY_SHUTDOWN_TIMEOUT_MS: wholeNumber(1, 3_600_000).default(4_000),
  LOG_LEVEL: z.enum(LOG_LEVELS, `one of ${LOG_LEVELS.join(', ')}`).default('info'),
});

/**
 * Reads the worker's variables; an empty one counts as not set.
 * @throws {ConfigError} for the first variable that is missing or wrong.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): WorkerConfig {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const result = environment.safeParse(given);
  if (!result.success) {
    const [issue] = result.error.issues;
    const variable = String(issue?.path[0]);
    throw new ConfigError(variable, issue?.message ?? 'valid', given[variable]);
  }
  const { data } = result;
  return {
    redisUrl: data.REDIS_URL,
    queueRedisUrl: data.QUEUE_REDIS_URL ?? data.REDIS_URL,
    databaseUrl: data.DATABASE_URL,
    shards: data.SPILLWAY_SHARDS,
    sinkConcurrency: data.SPILLWAY_SINK_CONCURRENCY,
    shutdownTimeoutMs: data.SPILLWAY_SHUTDOWN_TIMEOUT_MS,
    logLevel: data.LOG_LEVEL,
  };
}

function wholeNumber(minimum: number, maximum: number): z.ZodPipe<z.ZodString, z.ZodTransform<number, string>> {
  const message = `a whole number from ${minimum} to ${maximum}`;
  return z.string(message).transform((value, context) => {
    const number = /^\d{1,15}$/u.test(value) ? Number(value) : Number.NaN;
    if (number >= minimum && number <= maximum) return number;
    context.addIssue(message);
    return z.NEVER;
  });
}

/** A value as it may stand in a log: without what precedes an @. */
function shown(value: string): string {
  return JSON.stringify(value.replace(/^(.*?\/\/)?.*@/u, '$1***@'));
}
