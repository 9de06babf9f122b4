import { PgSchema, pgSchema } from 'drizzle-orm/pg-core';

/** Cold rows of the live tables, and the history of their maintenance. */
export const archive = pgSchema('archive');

/** Every table and function of Spillway's own. Nothing of an application is here, and PostgREST does not expose it. */
export const spillway = pgSchema('spillway');

/**
 * The default schema, named in every query, so that no `search_path` decides which table is meant. By the class, since
 * `pgSchema()` refuses this name.
 */
export const publicSchema = new PgSchema('public');
