import { decisionCounts, decisionCountsHourly, decisionReports } from '../schema/trail.ts';
import type { Queryable } from '../connection.ts';
import { InvalidOptionError, wholeNumber } from '../errors.ts';
import { sql } from 'drizzle-orm';
import { read } from '../query/typed.ts';
import { systemMetricRollups, systemMetricRollupState, systemMetrics } from '../schema/metrics.ts';

/** Decisions a second of all tiers together, over the last minute. */
export interface DecisionRates {
  /** Admitted; the shadow ones are not among them. */
  readonly allowed: number;
  readonly blocked: number;
  /** Would have been refused, had their policy not been in shadow mode. */
  readonly shadow: number;
}

/** Decisions of one tier in one step of time. */
export interface DecisionStep extends DecisionRates {
  /** The tier, as its policy is called. */
  readonly policy: string;
  /** Begin of the step, epoch ms. */
  readonly atMs: number;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/**
 * A second's share of what was counted in `perMs` (SQL), by outcome. Decisions without Redis count as what they came to for the
 * caller only by their policy, which the count doesn't say: they are left out.
 */
function ratesOf(outcome: string, count: string, perMs: string): string {
  const rate = (outcomes: string, name: string): string =>
    `coalesce(sum(${count}::float8) FILTER (WHERE ${outcome} IN (${outcomes})), 0) * 1000 / ${perMs} AS ${name}`;
  return [rate(`'allowed'`, 'allowed'), rate(`'limited', 'blocked'`, 'blocked'), rate(`'shadow'`, 'shadow')].join(', ');
}

// Limiters report each ten seconds what they decided in these: the minute that ended five seconds ago has all its reports.
const report = decisionReports;
const RATES = `
  SELECT ${ratesOf(report.outcome.name, report.count.name, `${MINUTE}`)}
  FROM spillway.decision_reports
  WHERE ${report.recordedAtMs.name} > now() - interval '65 seconds' AND ${report.recordedAtMs.name} <= now() - interval '5 seconds'`;

/** Reads them. */
export async function decisionRates(db: Queryable): Promise<DecisionRates> {
  const { rows } = await db.query<{ [Key in keyof DecisionRates]: DecisionRates[Key] }>(RATES);
  return rows[0] ?? { allowed: 0, blocked: 0, shadow: 0 };
}

// What was counted over a while is put into the minute in which the counting ended. One step more than the range, so that the
// first is whole. A step's time as a number is worked out for each step, not for each count.
function series(table: string, { policy, outcome, count, at }: Readonly<Record<string, string>>): string {
  return `
  SELECT policy, (extract(epoch FROM step) * 1000)::float8 AS "atMs", allowed, blocked, shadow
  FROM (
    SELECT ${policy} AS policy, date_bin($2::float8 * interval '1 millisecond', ${at}, 'epoch') AS step,
           ${ratesOf(outcome ?? '', count ?? '', '$2')}
    FROM ${table}
    WHERE ${at} >= date_bin($2::float8 * interval '1 millisecond', now(), 'epoch')
      - ($1::float8 + $2::float8) * interval '1 millisecond'
    GROUP BY 1, 2
  ) AS counted ORDER BY policy, step`;
}

const byMinute = decisionCounts;
const SERIES_BY_MINUTE = series('spillway.decision_counts', {
  policy: byMinute.policy.name,
  outcome: byMinute.outcome.name,
  count: byMinute.count.name,
  at: byMinute.minuteMs.name,
});
const byHour = decisionCountsHourly;
const SERIES_BY_HOUR = series('spillway.decision_counts_hourly', {
  policy: byHour.policy.name,
  outcome: byHour.outcome.name,
  count: byHour.count.name,
  at: byHour.hourMs.name,
});

/**
 * Decisions a second by tier over the last `rangeMs`, in steps of `stepMs`, oldest first. Steps without any are absent. Steps of
 * whole hours are read from sums by the hour.
 * @param rangeMs a minute to 31 days
 * @param stepMs whole minutes, up to a day
 * @throws {InvalidOptionError}
 */
export async function decisionSeries(db: Queryable, rangeMs: number, stepMs: number): Promise<readonly DecisionStep[]> {
  wholeNumber('rangeMs', rangeMs, MINUTE, 31 * 24 * HOUR);
  wholeNumber('stepMs', stepMs, MINUTE, 24 * HOUR);
  if (stepMs % MINUTE !== 0) throw new InvalidOptionError('stepMs', stepMs, 'whole minutes, in ms');
  const text = stepMs % HOUR === 0 ? SERIES_BY_HOUR : SERIES_BY_MINUTE;
  const { rows } = await db.query<DecisionStep>(text, [rangeMs, stepMs]);
  return rows;
}

/** The worst value of a metric in one step of time. */
export interface MetricStep {
  /** Begin of the step, epoch ms. */
  readonly atMs: number;
  readonly max: number;
}

const rollup = systemMetricRollups;
const { rolledThrough } = systemMetricRollupState;
const { metricName, metricUnit, metricValue, recordedAtMs } = systemMetrics;

/** Samples that are read one by one: the roll-ups are two minutes behind, and those of a whole hour an hour more. */
const TAIL_HOURS = 3;

/**
 * The highest value of a metric in each step of `stepMs` over the last `rangeMs`, oldest first. Where steps are whole minutes, what
 * is older than three hours is read from the roll-ups alone: samples that no worker has summed up by then are absent until one has.
 */
export async function metricSeries(
  db: Queryable,
  name: string,
  rangeMs: number,
  stepMs: number,
): Promise<readonly MetricStep[]> {
  const step = sql`${stepMs}::float8 * interval '1 millisecond'`;
  // One step more than the range, so that the first is whole.
  const first = sql`date_bin(${step}, now(), 'epoch') - ${rangeMs + stepMs}::float8 * interval '1 millisecond'`;
  const width = [60, 10, 1].find((minutes) => stepMs % (minutes * 60_000) === 0);
  const tail = sql`now() - ${TAIL_HOURS}::int * interval '1 hour'`;
  const until = sql`(SELECT date_bin(interval '1 hour', greatest(${rolledThrough}, ${first}, ${tail}), 'epoch') FROM ${systemMetricRollupState})`;
  // What is summed up is read from there: a week of samples each ten seconds is 60,000 rows a worker.
  if (width !== undefined) {
    return read(
      db,
      sql`
      SELECT (extract(epoch FROM date_bin(${step}, at, 'epoch')) * 1000)::float8 AS "atMs", max(value)::float8 AS max
      FROM (
        SELECT ${rollup.startedAt} AS at, ${rollup.maxValue} AS value FROM ${rollup}
        WHERE ${rollup.metricName} = ${name} AND ${rollup.widthMinutes} = ${width}
          AND ${rollup.startedAt} >= ${first} AND ${rollup.startedAt} < ${until}
        UNION ALL
        SELECT ${recordedAtMs}, ${metricValue} FROM ${systemMetrics}
        WHERE ${metricName} = ${name} AND ${recordedAtMs} >= ${first} AND ${recordedAtMs} >= ${until}
      ) AS part
      GROUP BY 1 ORDER BY 1`,
    );
  }
  return read(
    db,
    sql`
      SELECT (extract(epoch FROM date_bin(${step}, ${recordedAtMs}, 'epoch')) * 1000)::float8 AS "atMs",
             max(${metricValue})::float8 AS max
      FROM ${systemMetrics}
      WHERE ${metricName} = ${name} AND ${recordedAtMs} >= ${first}
      GROUP BY 1 ORDER BY 1`,
  );
}

/** The last sample of a metric. */
export interface LatestMetric {
  readonly name: string;
  readonly value: number;
  readonly unit: string | null;
  /** Epoch ms. */
  readonly atMs: number;
}

// An equality would let Postgres read all samples by time, until it meets one of the metric: of one that was never recorded all
// of them. In the order of name and time there is but the index by name.
/** The last sample of each metric named; those that were never recorded are absent. */
export async function latestMetrics(db: Queryable, names: readonly string[]): Promise<readonly LatestMetric[]> {
  return read(
    db,
    sql`
      SELECT name, last.value, last.unit, last."atMs"
      FROM unnest(${sql.param(names)}::text[]) AS name
      CROSS JOIN LATERAL (
        SELECT ${metricValue}::float8 AS value, ${metricUnit} AS unit,
               (extract(epoch FROM ${recordedAtMs}) * 1000)::float8 AS "atMs"
        FROM ${systemMetrics} WHERE ${metricName} >= name AND ${metricName} <= name
        ORDER BY ${metricName}, ${recordedAtMs} DESC LIMIT 1
      ) AS last`,
  );
}
