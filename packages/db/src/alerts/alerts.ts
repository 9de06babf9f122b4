import type { Queryable } from '../connection/connection.ts';

/** A threshold that was crossed. */
export interface Alert {
  readonly id: string;
  readonly rule: string;
  readonly openedAt: Date;
  /** Null while it is open. */
  readonly resolvedAt: Date | null;
  readonly value: number;
  readonly threshold: number;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What there is to tell the webhook about an alert. */
export interface UntoldAlert extends Alert {
  readonly event: 'opened' | 'resolved';
}

/** A rule that is violated now. */
export interface Violation {
  readonly rule: string;
  readonly value: number;
  readonly threshold: number;
  readonly details: Readonly<Record<string, unknown>>;
}

const COLUMNS = `id, rule, opened_at AS "openedAt", resolved_at AS "resolvedAt", value::float8 AS value,
  threshold::float8 AS threshold, details`;

/** Opens an alert, or notes the present value in the one that is open; true when it was opened now. */
export async function openAlert(db: Queryable, { rule, value, threshold, details }: Violation): Promise<boolean> {
  const { rows } = await db.query<{ opened: boolean }>(
    `INSERT INTO spillway.alerts (rule, value, threshold, details) VALUES ($1, $2, $3, $4)
     ON CONFLICT (rule) WHERE resolved_at IS NULL
     DO UPDATE SET value = excluded.value, threshold = excluded.threshold, details = excluded.details
     RETURNING xmax = 0 AS opened`,
    [rule, value, threshold, JSON.stringify(details)],
  );
  return rows[0]?.opened === true;
}

/** Resolves the open alerts of these rules and returns the rules that had one. */
export async function resolveAlerts(db: Queryable, rules: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ rule: string }>(
    `UPDATE spillway.alerts SET resolved_at = now() WHERE resolved_at IS NULL AND rule = ANY ($1::text[]) RETURNING rule`,
    [rules],
  );
  return rows.map(({ rule }) => rule);
}

/** Alerts, newest first. */
export async function listAlerts(
  db: Queryable,
  { openOnly = false, limit = 50 }: { readonly openOnly?: boolean; readonly limit?: number } = {},
): Promise<Alert[]> {
  const { rows } = await db.query<{ [Key in keyof Alert]: Alert[Key] }>(
    `SELECT ${COLUMNS} FROM spillway.alerts WHERE NOT $1 OR resolved_at IS NULL ORDER BY opened_at DESC LIMIT $2`,
    [openOnly, limit],
  );
  return rows;
}

/** What the webhook wasn't told yet, oldest first. */
export async function listUntoldAlerts(db: Queryable): Promise<UntoldAlert[]> {
  const { rows } = await db.query<{ [Key in keyof UntoldAlert]: UntoldAlert[Key] }>(
    `SELECT ${COLUMNS}, CASE WHEN notified_opened_at IS NULL THEN 'opened' ELSE 'resolved' END AS event
     FROM spillway.alerts
     WHERE notified_opened_at IS NULL OR (resolved_at IS NOT NULL AND notified_resolved_at IS NULL)
     ORDER BY opened_at LIMIT 100`,
  );
  return rows;
}

/** Remembers that the webhook was told. */
export async function markTold(db: Queryable, { id, event }: Pick<UntoldAlert, 'id' | 'event'>): Promise<void> {
  const column = event === 'opened' ? 'notified_opened_at' : 'notified_resolved_at';
  await db.query(`UPDATE spillway.alerts SET ${column} = now() WHERE id = $1`, [id]);
}
