/**
 * What several programs ask of a variable. Each field needs its variable to be set, until the program adds
 * `.optional()` or `.default(…)`; each says the same about one that is missing as about one that is wrong.
 */
import { NAMESPACE_PATTERN, parseRedisUrl } from '@spillway/redis';
import { z } from 'zod';

/** How much a logger writes: pino's levels. */
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

const LOG_LEVELS: readonly LogLevel[] = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];

const REDIS = 'a redis:// or rediss:// URL';
const ANY_REDIS = 'a redis://, redis-cluster:// or redis-sentinel:// URL';
const POSTGRES = 'a postgres:// URL';

/** Where a Redis is. Whether one answers there is for the client to find out. */
export const redisUrl: z.ZodString = z.string(REDIS).regex(/^rediss?:\/\/./u, REDIS);

/** The same, or a Cluster, or a master that sentinels know: see {@link parseRedisUrl}. */
export const anyRedisUrl: z.ZodString = z
  .string(ANY_REDIS)
  .refine((url) => parseRedisUrl(url) !== undefined, ANY_REDIS);

/** What parts deployments on one Redis, in keys and channels. */
export const namespace: z.ZodString = z.string().regex(NAMESPACE_PATTERN, '1 to 64 of a-z, 0-9, _ and -');

/** Where a Postgres database is; `postgresql://` is the same scheme. */
export const postgresUrl: z.ZodString = z
  .string(POSTGRES)
  .regex(/^postgres(ql)?:\/\/./u, POSTGRES)
  .refine((url) => !/#.*@/su.test(url), `${POSTGRES} whose password has %23 for each #`)
  .refine((url) => /@\//u.test(url) || URL.canParse(url), POSTGRES);

/** What a Postgres URL leads to; a PgBouncer in transaction mode refuses connections that ask for settings. */
export const databaseServer: z.ZodType<'postgres' | 'pgbouncer'> = z.enum(
  ['postgres', 'pgbouncer'],
  'postgres or pgbouncer',
);

/** One of pino's levels, in lower case. */
export const logLevel: z.ZodType<LogLevel> = z.enum(LOG_LEVELS, `one of ${LOG_LEVELS.join(', ')}`);

/**
 * A whole number from `minimum` to `maximum`, both included, in plain digits. `Number()` alone would also read `0x10`,
 * `1e3` and blanks, which nobody means.
 */
export function wholeNumber(minimum: number, maximum: number): z.ZodType<number, string> {
  const message = `a whole number from ${minimum} to ${maximum}`;
  return z.string(message).transform((value, context) => {
    const number = /^\d{1,15}$/u.test(value) ? Number(value) : Number.NaN;
    if (number >= minimum && number <= maximum) return number;
    context.addIssue(message);
    return z.NEVER;
  });
}
