import type { z } from 'zod';
import { ConfigError } from './config-error.ts';

/** The environment, as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the variables that `schema` lists and leaves the others alone. An empty one counts as not set: that is what
 * `VARIABLE= command` and a blank line in a compose file mean.
 *
 * @param schema a field for each variable, under the variable's name. What a field says when it refuses completes
 * "VARIABLE must be".
 * @throws {ConfigError} for the first variable, in the schema's order, that is missing or wrong.
 * @example
 * const variables = z.object({ REDIS_URL: redisUrl, PORT: wholeNumber(1, 65_535).default(8787) });
 * const { REDIS_URL, PORT } = readEnvironment(variables, process.env);
 */
export function readEnvironment<Schema extends z.ZodObject>(schema: Schema, env: Environment): z.output<Schema> {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const variable = String(issue?.path[0]);
  throw new ConfigError(variable, issue?.message ?? 'valid', given[variable]);
}
