import { type Sample, type Violation, openAlert, type Queryable, resolveAlerts } from '@spillway/db';
import type { JobName } from '../maintenance/job.ts';

/** When a metric opens an alert. With several samples under different tags, each has its own alert. */
export interface AlertRule {
  readonly rule: string;
  readonly metric: string;
  /** Only samples with these tags. @default all */
  readonly tags?: Readonly<Record<string, string>>;
  /** Violated by a value above this. */
  readonly above?: number;
  /** Violated by a value below this. */
  readonly below?: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A job is late when its next run should be over too. */
function late(job: JobName, afterMs: number): AlertRule {
  return { rule: 'job_late', metric: 'job_last_success_age_ms', tags: { job }, above: afterMs };
}

/** The rules in use by default. */
export const defaultAlertRules: readonly AlertRule[] = [
  { rule: 'audit_lag', metric: 'audit_oldest_event_age_ms', above: 60_000 },
  { rule: 'audit_dropped', metric: 'audit_dropped_new', above: 0 },
  { rule: 'audit_blocks_capped', metric: 'audit_blocks_capped', above: 0 },
  { rule: 'audit_dead_letters', metric: 'audit_dead_letters', above: 0 },
  { rule: 'audit_missing', metric: 'audit_missing_events', above: 0 },
  { rule: 'audit_failed_jobs', metric: 'audit_failed_jobs', above: 0 },
  { rule: 'partitions_missing', metric: 'partition_months_ready', below: 1 },
  { rule: 'partitions_missing', metric: 'partition_days_ready', below: 3 },
  { rule: 'clock_ahead', metric: 'clock_skew_ms', above: 5_000 },
  { rule: 'clock_behind', metric: 'clock_skew_ms', below: -5_000 },
  late('cron-cleanup-rate-limits', DAY_MS + 6 * HOUR_MS),
  late('cron-create-partitions', DAY_MS + 6 * HOUR_MS),
  late('cron-reconcile-audit', DAY_MS + 6 * HOUR_MS),
  late('cron-archive-data', 8 * DAY_MS),
];

/** What the samples say about the rules. */
export interface Verdict {
  readonly violations: readonly Violation[];
  /** Rules, with their tags, that are met. */
  readonly met: readonly string[];
}

/** Compares samples with rules. A rule without a sample is neither met nor violated. */
export function compare(rules: readonly AlertRule[], samples: readonly Sample[]): Verdict {
  const violations: Violation[] = [];
  const met: string[] = [];
  for (const { rule, metric, tags, above, below } of rules) {
    for (const sample of samples) {
      if (sample.name !== metric || !hasTags(sample, tags)) continue;
      const name = [rule, ...Object.values(sample.tags)].join('/');
      const threshold = brokenThreshold(sample.value, above, below);
      if (threshold === undefined) met.push(name);
      else {
        const { value, unit } = sample;
        violations.push({ rule: name, value, threshold, details: { metric, unit, tags: sample.tags } });
      }
    }
  }
  return { violations, met };
}

function hasTags(sample: Sample, tags: AlertRule['tags']): boolean {
  return tags === undefined || Object.entries(tags).every(([name, value]) => sample.tags[name] === value);
}

function brokenThreshold(value: number, above: number | undefined, below: number | undefined): number | undefined {
  if (above !== undefined && value > above) return above;
  return below !== undefined && value < below ? below : undefined;
}

/** Opens an alert for each rule that samples violate and resolves those that are met again; returns which. */
export async function updateAlerts(
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
