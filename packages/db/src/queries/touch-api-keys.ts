import type { Queryable } from '../connection/connection.ts';

/** Notes that keys are in use. Those of the last half minute are left alone: twenty processes make one write of it. */
export async function touchApiKeys(db: Queryable, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await db.query(
    `UPDATE spillway.api_keys SET last_used_at = now()
     WHERE id IN (SELECT id FROM spillway.api_keys WHERE id = ANY($1::uuid[])
                    AND (last_used_at IS NULL OR last_used_at < now() - interval '30 seconds')
                  ORDER BY id FOR UPDATE)`,
    [ids],
  );
}
