import { type Environment, postgresUrl, readEnvironment, redisUrl } from '@spillway/config';
import { builtInArchives } from '@spillway/db';
import { archiveTablesField, type MaintainedTable } from '@spillway/worker';
import { z } from 'zod';

const databaseVariables = z.object({ DATABASE_URL: postgresUrl });
const redisVariables = z.object({ REDIS_URL: redisUrl, QUEUE_REDIS_URL: redisUrl.optional() });
const tableVariables = z.object({ SPILLWAY_ARCHIVE_TABLES: archiveTablesField.optional() });

/**
 * `DATABASE_URL`.
 * @throws {ConfigError} when it is missing or wrong.
 */
export function readDatabaseUrl(env: Environment): string {
  return readEnvironment(databaseVariables, env).DATABASE_URL;
}

/**
 * The guide's three tables and those of `SPILLWAY_ARCHIVE_TABLES`, as the worker has them.
 * @throws {ConfigError} when the variable is wrong.
 */
export function readTables(env: Environment): readonly MaintainedTable[] {
  return [...builtInArchives, ...(readEnvironment(tableVariables, env).SPILLWAY_ARCHIVE_TABLES ?? [])];
}

/**
 * `REDIS_URL`, and `QUEUE_REDIS_URL` when the queue has another one.
 * @throws {ConfigError} when one is missing or wrong.
 */
export function readRedisUrls(env: Environment): readonly { readonly variable: string; readonly url: string }[] {
  const { REDIS_URL, QUEUE_REDIS_URL } = readEnvironment(redisVariables, env);
  const second = QUEUE_REDIS_URL === undefined || QUEUE_REDIS_URL === REDIS_URL ? [] : [QUEUE_REDIS_URL];
  return [{ variable: 'REDIS_URL', url: REDIS_URL }, ...second.map((url) => ({ variable: 'QUEUE_REDIS_URL', url }))];
}
