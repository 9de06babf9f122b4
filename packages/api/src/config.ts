import { DEFAULT_SHARDS, MAX_SHARDS } from '@spillway/redis';
import { z } from 'zod';
import { ConfigError } from './config-error.ts';

/** What the environment says to anything that serves the API. */
export interface ServerConfig {
  /** `PORT`: where to listen. @default 8787 */
  readonly port: number;
  /** `HOST`: the address to listen on. @default '127.0.0.1', because the API asks nobody who they are */
  readonly host: string;
  /** `SPILLWAY_SHARDS`: as many as the other limiters and the worker have. @default 16 */
  readonly shards: number;
  /** `LOG_LEVEL`; undefined when not set. */
  readonly logLevel: LogLevel | undefined;
  /** `REDIS_URL`; undefined when not set. */
  readonly redisUrl: string | undefined;
  /** `DATABASE_URL`; undefined when not set. */
  readonly databaseUrl: string | undefined;
}

/** What the API's own process needs: the servers must be named. */
export interface ApiConfig extends ServerConfig {
  readonly redisUrl: string;
  readonly databaseUrl: string;
}

/** pino's levels. */
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

const REDIS = 'a redis:// or rediss:// URL';
const POSTGRES = 'a postgres:// URL';
const HOST = 'a host name or an IP address';

const environment = z.object({
  PORT: wholeNumber(1, 65_535).default(8787),
  HOST: z
    .string()
    .regex(/^[\w.:-]+$/u, HOST)
    .default('127.0.0.1'),
  SPILLWAY_SHARDS: wholeNumber(1, MAX_SHARDS).default(DEFAULT_SHARDS),
  LOG_LEVEL: z
    .enum<readonly LogLevel[]>(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
      error: 'fatal, error, warn, info, debug, trace or silent',
    })
    .optional(),
  REDIS_URL: z
    .string()
    .regex(/^rediss?:\/\/./u, REDIS)
    .optional(),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\/./u, POSTGRES)
    .optional(),
});

/** The environment, as `process.env` has it. */
type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the variables of whoever can bring up Redis and Postgres itself; an empty one counts as not set.
 * @throws {ConfigError} for the first variable that is wrong.
 */
export function readServerConfig(env: Environment): ServerConfig {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const result = environment.safeParse(given);
  if (!result.success) {
    const [issue] = result.error.issues;
    const variable = String(issue?.path[0]);
    throw new ConfigError(variable, issue?.message ?? 'valid', given[variable]);
  }
  const { data } = result;
  return {
    port: data.PORT,
    host: data.HOST,
    shards: data.SPILLWAY_SHARDS,
    logLevel: data.LOG_LEVEL,
    redisUrl: data.REDIS_URL,
    databaseUrl: data.DATABASE_URL,
  };
}

/**
 * Reads the API's variables; an empty one counts as not set.
 * @throws {ConfigError} for the first variable that is missing or wrong.
 */
export function readConfig(env: Environment): ApiConfig {
  const { redisUrl, databaseUrl, ...rest } = readServerConfig(env);
  if (redisUrl === undefined) throw new ConfigError('REDIS_URL', REDIS, undefined);
  if (databaseUrl === undefined) throw new ConfigError('DATABASE_URL', POSTGRES, undefined);
  return { ...rest, redisUrl, databaseUrl };
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
