import type { z } from 'zod';
import { ConfigError } from './config-error.ts';

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
