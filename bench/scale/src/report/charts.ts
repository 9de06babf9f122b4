import { lineChart, type LineChartOptions } from '@spillway/bench/figures';
import { answersOf, type LoadSecond, type Outcomes } from '../load/messages.ts';
import { GENERATE } from '../plan.ts';
import { groups, type Sample } from '../sampler.ts';
import type { Report } from './report.ts';

/** A chart of values that each moment has. */
interface Chart<Moment> extends Pick<LineChartOptions, 'title' | 'unit' | 'scale'> {
  readonly lines: readonly (readonly [label: string, value: (moment: Moment) => number])[];
}

const MB = 1024 * 1024;

/** What users saw. */
const userCharts: readonly Chart<LoadSecond>[] = [
  {
    title: 'Requests',
    unit: '/s',
    lines: [
      ['offered', ({ offered }) => offered],
      ['answered', answersOf],
      ['served', (second) => total(second, 'served')],
      ['limited 429', (second) => total(second, 'limited')],
      ['failed 502', (second) => total(second, 'failed')],
      ['cut off 503', (second) => total(second, 'cutOff')],
    ],
  },
  {
    title: 'Generations served',
    unit: '/h',
    lines: [['generations', ({ outcomes }) => outcomes[GENERATE].served * 3_600]],
  },
  {
    title: 'Latency, corrected for coordinated omission',
    unit: 'ms',
    scale: 'log',
    lines: [
      ['p50', ({ latency }) => latency.p50],
      ['p90', ({ latency }) => latency.p90],
      ['p99', ({ latency }) => latency.p99],
      ['p99.9', ({ latency }) => latency.p999],
      ['max', ({ latency }) => latency.max],
    ],
  },
  { title: 'Connected users', unit: '', lines: [['connections', ({ connections }) => connections]] },
];

/** What the machine saw. */
const machineCharts: readonly Chart<Sample>[] = [
  {
    title: 'CPU',
    unit: 'cores',
    lines: groups.map((group) => [group, ({ usage }: Sample) => usage[group].cpu] as const),
  },
  {
    title: 'Memory (resident)',
    unit: 'MB',
    lines: [
      ...groups.map((group) => [group, ({ usage }: Sample) => usage[group].rssBytes / MB] as const),
      ['data in redis', ({ redisUsedBytes }) => redisUsedBytes / MB],
    ],
  },
  {
    title: 'Audit trail: age of the oldest event that no worker has taken',
    unit: 'ms',
    lines: [['flush lag', ({ flushLagMs }) => flushLagMs]],
  },
  {
    title: 'Database connections',
    unit: '',
    lines: [
      ['pooler to Postgres', ({ dbConnections }) => dbConnections],
      ['fleet to pooler', ({ poolerClients }) => poolerClients],
      ['waiting for one', ({ poolerWaiting }) => poolerWaiting],
    ],
  },
];

/** The report's charts as SVG, all over the seconds since users began to connect, with what was done to the fleet. */
export function reportCharts({ seconds, samples, incidents }: Report): readonly string[] {
  const beginMs = seconds[0]?.atMs ?? 0;
  const secondsOf = ({ atMs }: { readonly atMs: number }): number => Math.round((atMs - beginMs) / 1_000);
  const marks = incidents.map((incident) => ({ seconds: secondsOf(incident), label: incident.what }));
  const during = samples.filter(({ atMs }) => atMs >= beginMs);
  const drawn = <Moment extends { readonly atMs: number }>(chart: Chart<Moment>, moments: readonly Moment[]): string =>
    lineChart({
      ...chart,
      marks,
      lines: chart.lines.map(([label, value]) => ({
        label,
        points: moments.map((moment) => [secondsOf(moment), value(moment)] as const),
      })),
    });
  return [...userCharts.map((chart) => drawn(chart, seconds)), ...machineCharts.map((chart) => drawn(chart, during))];
}

function total({ outcomes }: LoadSecond, name: keyof Outcomes): number {
  return outcomes.reduce((sum, each) => sum + each[name], 0);
}
