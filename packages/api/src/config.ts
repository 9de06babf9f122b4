import {
  type Environment,
  type LogLevel,
  logLevel,
  postgresUrl,
  readEnvironment,
  redisUrl,
  wholeNumber,
} from '@spillway/config';
import { DEFAULT_SHARDS, MAX_SHARDS } from '@spillway/redis';
import { z } from 'zod';

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

const serverVariables = z.object({
  PORT: wholeNumber(1, 65_535).default(8787),
  HOST: z
    .string()
    .regex(/^[\w.:-]+$/u, 'a host name or an IP address')
    .default('127.0.0.1'),
  SPILLWAY_SHARDS: wholeNumber(1, MAX_SHARDS).default(DEFAULT_SHARDS),
  LOG_LEVEL: logLevel.optional(),
  REDIS_URL: redisUrl.optional(),
  DATABASE_URL: postgresUrl.optional(),
});

const apiVariables = serverVariables.extend({ REDIS_URL: redisUrl, DATABASE_URL: postgresUrl });

/**
 * Reads the variables of whoever can bring up Redis and Postgres itself; an empty one counts as not set.
 * @throws {ConfigError} for the first variable that is wrong.
 */
export function readServerConfig(env: Environment): ServerConfig {
  return serverConfig(readEnvironment(serverVariables, env));
}

/**
 * Reads the API's variables; an empty one counts as not set.
 * @throws {ConfigError} for the first variable that is missing or wrong.
 */
export function readConfig(env: Environment): ApiConfig {
  const variables = readEnvironment(apiVariables, env);
  return { ...serverConfig(variables), redisUrl: variables.REDIS_URL, databaseUrl: variables.DATABASE_URL };
}

function serverConfig(variables: z.output<typeof serverVariables>): ServerConfig {
  return {
    port: variables.PORT,
    host: variables.HOST,
    shards: variables.SPILLWAY_SHARDS,
    logLevel: variables.LOG_LEVEL,
    redisUrl: variables.REDIS_URL,
    databaseUrl: variables.DATABASE_URL,
  };
}
