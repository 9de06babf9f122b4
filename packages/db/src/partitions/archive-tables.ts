import type { TableName } from './partitioned-table.ts';

/** The guide's three archives, partitioned by month on `created_at`. */
export const archiveTables: readonly TableName[] = [
  { schema: 'archive', name: 'api_call_logs' },
  { schema: 'archive', name: 'audit_logs' },
  { schema: 'archive', name: 'generations' },
];
