import { index, primaryKey } from 'drizzle-orm/pg-core';
import { apiCallLogColumns } from './api-call-logs.ts';
import { auditLogColumns } from './audit-logs.ts';
import { generationColumns } from './generations.ts';
import { archive } from './schemas.ts';
import { timestamptz } from './timestamps.ts';

/** When the mover brought the row here. */
const archivedAt = () => timestamptz('archived_at').notNull().defaultNow();

// Cold rows, partitioned by month on `created_at`: the migration says so, drizzle can't.
// Each has the source's columns in the source's order, so that rows move as they are. The key holds created_at because
// a partitioned table's key must hold the partition column. BRIN: rows arrive in time order, and a
// month of them is described by a few pages.

export const archivedApiCallLogs = archive.table(
  'api_call_logs',
  { ...apiCallLogColumns(), archivedAt: archivedAt() },
  (table) => [
    primaryKey({ name: 'api_call_logs_pkey', columns: [table.id, table.createdAt] }),
    index('api_call_logs_created_at_brin').using('brin', table.createdAt),
  ],
);

export const archivedAuditLogs = archive.table(
  'audit_logs',
  { ...auditLogColumns(), archivedAt: archivedAt() },
  (table) => [
    primaryKey({ name: 'audit_logs_pkey', columns: [table.id, table.createdAt] }),
    index('audit_logs_created_at_brin').using('brin', table.createdAt),
  ],
);

export const archivedGenerations = archive.table(
  'generations',
  { ...generationColumns(), archivedAt: archivedAt() },
  (table) => [
    primaryKey({ name: 'generations_pkey', columns: [table.id, table.createdAt] }),
    index('generations_created_at_brin').using('brin', table.createdAt),
  ],
);
