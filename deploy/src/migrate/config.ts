import { type Environment, postgresUrl, readEnvironment } from '@spillway/config';
import { z } from 'zod';

/**
 * Reads `DATABASE_URL`: the owner of the schema, reached directly and not through a transaction pooler.
 * @throws {ConfigError} when it is missing or wrong.
 */
export function readConfig(env: Environment): { readonly databaseUrl: string } {
  return { databaseUrl: readEnvironment(z.object({ DATABASE_URL: postgresUrl }), env).DATABASE_URL };
}
