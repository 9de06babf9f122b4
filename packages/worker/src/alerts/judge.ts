import { openAlert, type Queryable, resolveAlerts, type Sample } from '@spillway/db';
import { type AlertRule, compare } from './alert-rules.ts';

/** Opens an alert for each rule that samples violate and resolves those that are met again; returns which. */
export async function judge(
  db: Queryable,
  rules: readonly AlertRule[],
  samples: readonly Sample[],
): Promise<{ readonly opened: readonly string[]; readonly resolved: readonly string[] }> {
  const { violations, met } = compare(rules, samples);
  const opened: string[] = [];
  for (const violation of violations) {
    if (await openAlert(db, violation)) opened.push(violation.rule);
  }
  return { opened, resolved: await resolveAlerts(db, met) };
}
