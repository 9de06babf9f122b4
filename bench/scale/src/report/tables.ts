import type { PhaseTotals } from '../load/messages.ts';
import { kinds } from '../load/traffic.ts';
import { profiles } from '../profile.ts';
import { groups } from '../samples/sample.ts';
import type { Report } from './report.ts';
import type { ReportTable } from './table.ts';

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
