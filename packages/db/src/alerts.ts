import { and, asc, desc, eq, isNotNull, isNull, or, sql } from 'drizzle-orm';
import type { Queryable } from './connection/connection.ts';
import { anyOf, columnsOf, typed } from './query/typed.ts';
import { alerts } from './schema/metrics.ts';

const { id, rule, openedAtMs, resolvedAtMs, notifiedOpenedAtMs, notifiedResolvedAtMs } = alerts;
const { notifiedOpenedAtMs: _opened, notifiedResolvedAtMs: _resolved, ...shown } = columnsOf(alerts);

/** A threshold that was crossed. */
export type Alert = Readonly<Omit<typeof alerts.$inferSelect, 'notifiedOpenedAtMs' | 'notifiedResolvedAtMs'>>;

/** What there is to tell the webhook about an alert. */
export interface PendingNotification extends Alert {
  readonly event: 'opened' | 'resolved';
}

/** A rule that is violated now. */
export type Violation = Pick<Alert, 'rule' | 'value' | 'threshold' | 'details'>;

/** Opens an alert, or notes the present value in the one that is open; true when it was opened now. */
export async function openAlert(db: Queryable, violation: Violation): Promise<boolean> {
  const [row] = await typed(db)
    .insert(alerts)
    .values(violation)
    .onConflictDoUpdate({
      target: rule,
      targetWhere: isNull(resolvedAtMs),
      set: { value: violation.value, threshold: violation.threshold, details: violation.details },
    })
    .returning({ opened: sql<boolean>`xmax = 0` });
  return row?.opened === true;
}

/** Resolves the open alerts of these rules and returns the rules that had one. */
export async function resolveAlerts(db: Queryable, rules: readonly string[]): Promise<string[]> {
  const rows = await typed(db)
    .update(alerts)
    .set({ resolvedAtMs: sql`now()` })
    .where(and(isNull(resolvedAtMs), anyOf(rule, rules)))
    .returning({ rule });
  return rows.map((row) => row.rule);
}

/** Alerts, newest first. */
export async function listAlerts(
  db: Queryable,
  { openOnly = false, limit = 50 }: { readonly openOnly?: boolean; readonly limit?: number } = {},
): Promise<Alert[]> {
  return typed(db)
    .select(shown)
    .from(alerts)
    .where(openOnly ? isNull(resolvedAtMs) : undefined)
    .orderBy(desc(openedAtMs))
    .limit(limit);
}

/** What the webhook wasn't told yet, oldest first. */
export async function listPendingNotifications(db: Queryable): Promise<PendingNotification[]> {
  const event = sql<
    PendingNotification['event']
  >`case when ${notifiedOpenedAtMs} is null then 'opened' else 'resolved' end`;
  return typed(db)
    .select({ ...shown, event })
    .from(alerts)
    .where(or(isNull(notifiedOpenedAtMs), and(isNotNull(resolvedAtMs), isNull(notifiedResolvedAtMs))))
    .orderBy(asc(openedAtMs))
    .limit(100);
}

/** Remembers that the webhook was told. */
export async function markDelivered(db: Queryable, alert: Pick<PendingNotification, 'id' | 'event'>): Promise<void> {
  const told = alert.event === 'opened' ? 'notifiedOpenedAtMs' : 'notifiedResolvedAtMs';
  await typed(db)
    .update(alerts)
    .set({ [told]: sql`now()` })
    .where(eq(id, alert.id));
}
