/** How names of our own metrics begin. */
const prefixes = ['audit_', 'rate_limit.', 'spillway.', 'spillway_'];

const names = new Set([
  'clock_skew_ms',
  'job_duration_ms',
  'job_last_success_age_ms',
  'partition_days_ready',
  'partition_months_ready',
]);

/**
 * Whether a metric's name is one of those that the worker records: alerts and the dashboard go by them, so nobody else may
 * write them.
 */
export function isReservedMetric(name: string): boolean {
  return names.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}
