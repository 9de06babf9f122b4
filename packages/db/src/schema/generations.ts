import { sql } from 'drizzle-orm';
import { check, index, jsonb, text, uuid } from 'drizzle-orm/pg-core';
import { publicSchema } from './schemas.ts';
import { createdAt, timestamptz } from './timestamps.ts';

/** Shared with the archive: the mover refuses to run when the two differ. */
export const generationColumns = () => ({
  id: uuid('id').notNull().defaultRandom(),
  userId: text('user_id').notNull(),
  provider: text('provider').notNull(),
  model: text('model'),
  status: text('status').notNull().default('pending'),
  prompt: text('prompt'),
  parameters: jsonb('parameters').notNull().default({}),
  resultUrl: text('result_url'),
  errorMessage: text('error_message'),
  startedAt: timestamptz('started_at'),
  finishedAt: timestamptz('finished_at'),
  createdAt: createdAt(),
  updatedAt: timestamptz('updated_at').notNull().defaultNow(),
});

/** Jobs given to an AI provider. Finished ones older than 180 days live in `archive.generations`. */
export const generations = publicSchema.table(
  'generations',
  { ...generationColumns(), id: uuid('id').primaryKey().defaultRandom() },
  (table) => [
    check(
      'generations_status_check',
      sql`${table.status} in ('pending', 'processing', 'completed', 'failed', 'cancelled')`,
    ),
    index('generations_created_at_idx').on(table.createdAt),
    index('generations_user_idx').on(table.userId, table.createdAt),
    // The work in progress is small whatever the table's size.
    index('generations_unfinished_idx')
      .on(table.createdAt)
      .where(sql`${table.status} in ('pending', 'processing')`),
  ],
);
