import type { Column } from '@spillway/bench/figures';
import type { PhaseTotals } from '../load/messages.ts';
import { kinds, profiles } from '../plan.ts';
import { groups } from '../sampler.ts';
import type { Report } from './report.ts';

const MB = 1024 * 1024;

/** The guide's capacity table, and what was measured. */
export function capacityTable({ capacity, profile }: Report): ReportTable {
  return {
    columns: [
      ['Metric', 'left'],
      [profiles.free.title, 'right'],
      [profiles.pro.title, 'right'],
      [profiles.scale.title, 'right'],
      [`Measured (${profiles[profile].title})`, 'right'],
      ['Verdict', 'left'],
    ],
    rows: capacity.map(({ metric, targets, measured, passed }) => [
      metric,
      targets.free,
      targets.pro,
      targets.scale,
      measured,
      verdict(passed),
    ]),
  };
}

/** What was verified. */
export function checksTable({ checks }: Report): ReportTable {
  return {
    columns: [
      ['Check', 'left'],
      ['Promised', 'left'],
      ['Found', 'left'],
      ['Verdict', 'left'],
    ],
    rows: checks.map(({ name, promised, found, passed }) => [name, promised, found, verdict(passed)]),
  };
}

/** Percentiles by phase and kind; behind each the one that a naive load generator would tell. */
export function latencyTable({ phases }: Report): ReportTable {
  return {
    columns: [
      ['Phase', 'left'],
      ['Requests', 'left'],
      ['Answers', 'right'],
      ['p50', 'right'],
      ['p90', 'right'],
      ['p99', 'right'],
      ['p99.9', 'right'],
      ['max', 'right'],
    ],
    rows: phases.flatMap(latencyRows),
  };
}

function latencyRows({ phase, latency, uncorrected }: PhaseTotals): readonly string[][] {
  return kinds.map(({ title }, kind) => {
    const corrected = latency[kind];
    const naive = uncorrected[kind];
    const cell = (name: 'p50' | 'p90' | 'p99' | 'p999' | 'max'): string =>
      `${milliseconds(corrected?.[name])} (${milliseconds(naive?.[name])})`;
    const answers = (corrected?.count ?? 0).toLocaleString('en');
    return [phase, title, answers, cell('p50'), cell('p90'), cell('p99'), cell('p999'), cell('max')];
  });
}

/** What processes used from the first request to the last. */
export function usageTable({ samples, seconds }: Report): ReportTable {
  const underLoad = seconds.filter(({ phase }) => phase !== 'connect' && phase !== 'drain');
  const begin = underLoad[0]?.atMs ?? 0;
  const end = underLoad.at(-1)?.atMs ?? 0;
  const during = samples.filter(({ atMs }) => atMs >= begin && atMs <= end);
  return {
    columns: [
      ['Processes', 'left'],
      ['CPU, mean of cores', 'right'],
      ['CPU, highest second', 'right'],
      ['Memory at first', 'right'],
      ['Memory at last', 'right'],
    ],
    rows: groups.map((group) => {
      const usages = during.map(({ usage }) => usage[group]);
      const cpu = usages.map((usage) => usage.cpu);
      const mean = cpu.reduce((sum, each) => sum + each, 0) / Math.max(1, cpu.length);
      return [
        group,
        mean.toFixed(2),
        Math.max(0, ...cpu).toFixed(2),
        megabytes(usages[0]?.rssBytes),
        megabytes(usages.at(-1)?.rssBytes),
      ];
    }),
  };
}

function verdict(passed: boolean): string {
  return passed ? 'pass' : 'FAIL';
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? '' : value.toFixed(value < 10 ? 2 : 0);
}

function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? '' : `${Math.round(bytes / MB)} MB`;
}

/** A table of the report, to be written as Markdown or as HTML. Cells are plain text. */
export interface ReportTable {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
}

/** The heading: what was tested, and the verdict. */
const titles: Readonly<Record<Report['kind'], string>> = {
  run: 'Scale test',
  cluster: 'Scale test with a Redis Cluster',
  soak: 'Soak',
};

export function headline({ kind, profile, passed }: Report): string {
  return `${titles[kind]}: ${profiles[profile].title}, ${passed ? 'passed' : 'FAILED'}`;
}

/** How many rows passed. */
export function verdictText({ capacity, checks }: Report): string {
  const rows = [...capacity, ...checks];
  const passed = rows.filter((row) => row.passed).length;
  return passed === rows.length
    ? `All ${rows.length} rows passed`
    : `${rows.length - passed} of ${rows.length} rows FAILED`;
}

/** What happens in a run, for a reader who has never seen one. */
export function introText({ kind }: Report): string {
  return kind === 'soak' ? soakIntro : phasesIntro;
}

const soakIntro =
  'Connected users generate, read and sign in at the rates of the profile, and one in a hundred floods, for a long time; the provider that ' +
  'generates fails for a while in each round. After the first round and after the last nobody asks for a while, and what processes and servers ' +
  'hold then is compared. What each user was answered is compared with the limits, and with the rows in Postgres.';

const phasesIntro =
  'Connected users generate, read and sign in at the rates of the profile, and one in a hundred floods. Meanwhile an application process and a ' +
  'worker are killed with SIGKILL, the provider that generates fails for a while, and in the end the load doubles until the machine ' +
  'gives no more. What each user was answered is then compared with the limits, and with the rows in Postgres.';

/** When, where, on what. */
export function circumstances({ date, machine, durationMs, fleet }: Report): string {
  return `${date.slice(0, 10)}, ${machine}. ${durationMs / 1_000} s of load on ${fleet}.`;
}

/** How far the ramp went. */
export function peakText({ kind, peak }: Report): string {
  const { requestsPerSecond, generationsPerHour, factor, endedBy } = peak;
  const requests = requestsPerSecond.toLocaleString('en');
  const generations = generationsPerHour.toLocaleString('en');
  if (kind === 'soak') return `In its best second the fleet answered ${requests} requests.`;
  return (
    `In its best seconds the fleet answered ${requests} requests a second and served generations at ${generations} an hour. ` +
    `The ramp went to ${factor} times the profile's rates and ended because ${endedBy}.`
  );
}

/** What the latencies are counted from. */
export const latencyText: string =
  'In ms, from the moment for which a request was intended, so that a stall counts for everybody who had to wait ' +
  '(corrected for coordinated omission); in parentheses from when it was sent. Floods of abusers are not in it.';

/** How the ledger can be sure. */
export const ledgerText: string =
  'The load generator keeps a ledger of when each request was sent and when its answer came. Redis decided in between, by ' +
  'the same clock. An answer counts as wrong when no moment of decision between the two would make it right, so slowness ' +
  'never makes a right answer wrong; and since a user has one request under way at a time, a limit that is not accused ' +
  'has a possible history without a fault.';
