import { index, integer, jsonb, text, uuid } from 'drizzle-orm/pg-core';
import { publicSchema } from './schemas.ts';
import { createdAt } from './timestamps.ts';

/** Shared with the archive: the mover refuses to run when the two differ. */
export const apiCallLogColumns = () => ({
  id: uuid('id').notNull().defaultRandom(),
  userId: text('user_id'),
  requestId: text('request_id'),
  method: text('method').notNull(),
  endpoint: text('endpoint').notNull(),
  statusCode: integer('status_code').notNull(),
  durationMs: integer('duration_ms').notNull(),
  ipAddress: text('ip_address'),
  userAgent: text('user_agent'),
  errorMessage: text('error_message'),
  metadata: jsonb('metadata').notNull().default({}),
  createdAt: createdAt(),
});

/** Calls of the last 30 days; older ones live in `archive.api_call_logs`. */
export const apiCallLogs = publicSchema.table(
  'api_call_logs',
  { ...apiCallLogColumns(), id: uuid('id').primaryKey().defaultRandom() },
  (table) => [
    index('api_call_logs_created_at_idx').on(table.createdAt),
    index('api_call_logs_user_idx').on(table.userId, table.createdAt),
  ],
);
