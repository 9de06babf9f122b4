import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { Findings } from './section.ts';

/** What the machine did at a moment at which the bench did nothing. */
export interface Moment {
  /** Load average of the last minute; it has the bench's own last minute in it. */
  readonly load: number;
  /** The share of all cores that others used, 0 to 1. */
  readonly othersShare: number;
}

/** How busy the machine was with other things. */
export interface Conditions {
  readonly before: Moment;
  readonly after: Moment;
}

/** Findings with where and when they were made. */
export interface Run extends Findings {
  readonly title: string;
  readonly date: string;
  /** Versions and processors: runs of the same are comparable in absolute figures. */
  readonly machine: string;
  /** How long the section took, in s. */
  readonly tookSeconds?: number;
  /** How busy the machine was with other things; absent in old results. */
  readonly conditions?: Conditions;
}

const folder = new URL('../results/', import.meta.url);

/** Keeps what a section found, as `results/NAME.json`. */
export async function saveRun(name: string, run: Run): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(new URL(`${name}.json`, folder), `${JSON.stringify(run, undefined, 2)}\n`);
}

/** The runs that were kept, by section. */
export async function readRuns(from: URL = folder): Promise<ReadonlyMap<string, Run>> {
  const files = (await readdir(from)).filter((file) => file.endsWith('.json')).toSorted();
  const runs = await Promise.all(
    files.map(async (file): Promise<[string, Run]> => [
      file.replace(/\.json$/, ''),
      JSON.parse(await readFile(new URL(file, from), 'utf8')),
    ]),
  );
  return new Map(runs);
}

/** A few processes that tick are quiet; a compiler isn't. */
const QUIET_SHARE = 0.15;
const SETTLE_MS = 300;
const WATCH_MS = 700;

/** Watches the machine for a second, in which this process does nothing. None of its servers may run. */
export async function watchMachine(): Promise<Moment> {
  const [load = 0] = loadavg();
  await pause(SETTLE_MS);
  const before = cpuTimes();
  await pause(WATCH_MS);
  const after = cpuTimes();
  const othersShare = 1 - (after.idle - before.idle) / (after.all - before.all);
  return { load, othersShare };
}

/** Whether others left the machine alone. Results from before this was noted are taken for noisy. */
export function isQuiet(conditions: Conditions | undefined): boolean {
  if (conditions === undefined) return false;
  return Math.max(conditions.before.othersShare, conditions.after.othersShare) <= QUIET_SHARE;
}

/** How it was, for a reader. */
export function conditionsText(conditions: Conditions | undefined): string {
  if (conditions === undefined) return 'How busy the machine was is not known.';
  const { before, after } = conditions;
  const text = `Load average ${before.load.toFixed(1)} before and ${after.load.toFixed(1)} after; others used ${percent(before)} and ${percent(after)} of the CPU.`;
  return isQuiet(conditions) ? text : `${text} **The machine was not quiet: figures are worse than they could be.**`;
}

function percent({ othersShare }: Moment): string {
  return `${Math.round(100 * othersShare)} %`;
}

function cpuTimes(): { readonly idle: number; readonly all: number } {
  let idle = 0;
  let all = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    all += Object.values(times).reduce((sum, time) => sum + time, 0);
  }
  return { idle, all };
}
