import { type Environment, postgresUrl, readEnvironment, redisUrl, wholeNumber } from '@spillway/runtime';
import { z } from 'zod';

/** What the application's environment says. */
export interface AppConfig {
  /** `REDIS_URL` */
  readonly redisUrl: string;
  /** `DATABASE_URL`: a PgBouncer. */
  readonly databaseUrl: string;
  /** `PROVIDER_URL`: who generates. */
  readonly providerUrl: string;
  /** `PORT`, on the loopback address. 0 = a free one. */
  readonly port: number;
  /** `BREAKER_OPEN_MS` */
  readonly breakerOpenMs: number;
}

const appVariables = z.object({
  REDIS_URL: redisUrl,
  DATABASE_URL: postgresUrl,
  PROVIDER_URL: z.string(),
  PORT: wholeNumber(0, 65_535),
  BREAKER_OPEN_MS: wholeNumber(1, 86_400_000),
});

/** @throws {ConfigError} for the first variable that is missing or wrong. */
export function readConfig(env: Environment): AppConfig {
  const variables = readEnvironment(appVariables, env);
  return {
    redisUrl: variables.REDIS_URL,
    databaseUrl: variables.DATABASE_URL,
    providerUrl: variables.PROVIDER_URL,
    port: variables.PORT,
    breakerOpenMs: variables.BREAKER_OPEN_MS,
  };
}
