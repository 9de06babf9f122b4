import { sql } from 'drizzle-orm';
import { index, integer, jsonb, text, uuid, check, primaryKey } from 'drizzle-orm/pg-core';
import { publicSchema, createdAt, timestamptz, archive } from './columns.ts';

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

/** Shared with the archive: the mover refuses to run when the two differ. */
export const auditLogColumns = () => ({
  id: uuid('id').notNull().defaultRandom(),
  actorId: text('actor_id'),
  action: text('action').notNull(),
  resourceType: text('resource_type').notNull(),
  resourceId: text('resource_id'),
  ipAddress: text('ip_address'),
  metadata: jsonb('metadata').notNull().default({}),
  createdAt: createdAt(),
});

/** Who did what in the last 90 days; older entries live in `archive.audit_logs`. */
export const auditLogs = publicSchema.table(
  'audit_logs',
  { ...auditLogColumns(), id: uuid('id').primaryKey().defaultRandom() },
  (table) => [
    index('audit_logs_created_at_idx').on(table.createdAt),
    index('audit_logs_actor_idx').on(table.actorId, table.createdAt),
    index('audit_logs_resource_idx').on(table.resourceType, table.resourceId, table.createdAt),
  ],
);

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

/** When the mover brought the row here. */
const archivedAt = () => timestamptz('archived_at').notNull().defaultNow();

// Cold rows, partitioned by month on `created_at`: the migration says so, drizzle can't.
// Each has the source's columns in the source's order, so that rows move as they are. The key holds created_at because
// a partitioned table's key must hold the partition column. BRIN: rows arrive in time order, and a
// month of them is described by a few pages.

/** Calls older than 30 days, by month. */
export const archivedApiCallLogs = archive.table(
  'api_call_logs',
  { ...apiCallLogColumns(), archivedAt: archivedAt() },
  (table) => [
    primaryKey({ name: 'api_call_logs_pkey', columns: [table.id, table.createdAt] }),
    index('api_call_logs_created_at_brin').using('brin', table.createdAt),
  ],
);

/** Entries older than 90 days, by month. */
export const archivedAuditLogs = archive.table(
  'audit_logs',
  { ...auditLogColumns(), archivedAt: archivedAt() },
  (table) => [
    primaryKey({ name: 'audit_logs_pkey', columns: [table.id, table.createdAt] }),
    index('audit_logs_created_at_brin').using('brin', table.createdAt),
  ],
);

/** Finished generations older than 180 days, by month. */
export const archivedGenerations = archive.table(
  'generations',
  { ...generationColumns(), archivedAt: archivedAt() },
  (table) => [
    primaryKey({ name: 'generations_pkey', columns: [table.id, table.createdAt] }),
    index('generations_created_at_brin').using('brin', table.createdAt),
  ],
);
