import { index, jsonb, text, uuid } from 'drizzle-orm/pg-core';
import { publicSchema } from './schemas.ts';
import { createdAt } from './timestamps.ts';

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
