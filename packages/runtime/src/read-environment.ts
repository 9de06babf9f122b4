import { z } from 'zod';
import { NAMESPACE_PATTERN, parseRedisUrl } from '@spillway/redis';

/** The environment, as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the variables that `schema` lists and leaves the others alone. An empty one counts as not set: that is what
 * `VARIABLE= command` and a blank line in a compose file mean. So does a `…_PORT` that Kubernetes made of a Service:
 * in the namespace of a Service `worker-http` each pod has `WORKER_HTTP_PORT=tcp://10.0.0.7:9100`.
 *
 * @param schema a field for each variable, under the variable's name. What a field says when it refuses completes
 * "VARIABLE must be".
 * @throws {ConfigError} for the first variable, in the schema's order, that is missing or wrong. Its message has a line for
 * each of the others.
 * @example
 * const variables = z.object({ REDIS_URL: redisUrl, PORT: wholeNumber(1, 65_535).default(8787) });
 * const { REDIS_URL, PORT } = readEnvironment(variables, process.env);
 */
export function readEnvironment<Schema extends z.ZodObject>(schema: Schema, env: Environment): z.output<Schema> {
  const given = Object.fromEntries(Object.entries(env).filter(([name, value]) => isSet(name, value)));
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const [first, ...others] = result.error.issues.map(({ path, message }) => {
    const variable = String(path[0]);
    return new ConfigError(variable, message, given[variable]);
  });
  if (first === undefined) throw result.error;
  first.message = [first, ...others].map(({ message }) => message).join('\n');
  throw first;
}

function isSet(name: string, value: string | undefined): boolean {
  if (value === undefined || value === '') return false;
  return !(name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\/[^/]+:\d+$/u.test(value));
}

/**
 * A variable that is missing or makes no sense. The message names it and shows its value, without credentials:
 * `REDIS_URL must be a redis:// or rediss:// URL, got "http://***@cache"`. Of a variable whose name says that it holds a
 * secret it shows the length alone.
 */
export class ConfigError extends Error {
  readonly code = 'invalid_config';
  override readonly name = 'ConfigError';
  /** The variable, as it is written in the environment. */
  readonly variable: string;

  /**
   * @param expected completes "must be".
   * @param value undefined when the variable is not set.
   */
  constructor(variable: string, expected: string, value: string | undefined) {
    super(
      `${variable} must be ${expected}, ${value === undefined ? 'but is not set' : `got ${shown(variable, value)}`}`,
    );
    this.variable = variable;
  }
}

/**
 * A value as it may stand in a log: without what precedes its last @, save a scheme. Only a real scheme is let through,
 * because a password may hold slashes and line breaks too.
 */
function shown(variable: string, value: string): string {
  if (/SECRET|PASSWORD|PASSPHRASE|TOKEN|CREDENTIAL|(^|_)KEY/u.test(variable)) return `${value.length} characters`;
  return JSON.stringify(value.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/isu, '$1***@'));
}

/**
 * What several programs ask of a variable. Each field needs its variable to be set, until the program adds
 * `.optional()` or `.default(…)`; each says the same about one that is missing as about one that is wrong.
 */

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

/** The name that separates deployments on one Redis, in keys and channels. */
export const namespace: z.ZodString = z.string().regex(NAMESPACE_PATTERN, '1 to 64 of a-z, 0-9, _ and -');

/** Where a program listens. */
export const hostName: z.ZodString = z.string().regex(/^[\w.:-]+$/u, 'a host name or an IP address');

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

const ONE_OF_LEVELS = `one of ${LOG_LEVELS.join(', ')}`;

/** One of pino's levels. One environment often has it for several programs, some of which want capitals. */
export const logLevel: z.ZodType<LogLevel> = z
  .string(ONE_OF_LEVELS)
  .transform((level) => level.toLowerCase())
  .pipe(z.enum(LOG_LEVELS, ONE_OF_LEVELS));

/**
 * A whole number from `minimum` to `maximum`, both included, in plain digits. `Number()` alone would also read `0x10`,
 * `1e3` and blanks, which are never meant.
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
