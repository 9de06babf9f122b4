import type { JobProgress } from '@spillway/worker';
import { MultiBar, Presets, type SingleBar } from 'cli-progress';
import type { Output } from './cli-context.ts';

/** A bar for each table. */
export interface ProgressBars {
  show(progress: JobProgress): void;
  /** Leaves the bars as they are and the terminal as it was. */
  stop(): void;
}

/** Bars on the terminal; nothing where there is none, or where a program reads. */
export function progressBars({ json, stderr }: Output): ProgressBars {
  if (json || stderr.isTTY !== true) return { show: () => {}, stop: () => {} };
  const bars = new MultiBar(
    { format: '{table} {bar} {value}/{total} rows, {eta_formatted} left', hideCursor: true, stream: process.stderr },
    Presets.shades_classic,
  );
  const byTable = new Map<string, SingleBar>();
  return {
    show({ table, done, total }) {
      const bar = byTable.get(table) ?? bars.create(total ?? done, 0, { table });
      byTable.set(table, bar);
      bar.setTotal(Math.max(total ?? 0, done));
      bar.update(done, { table });
    },
    stop: () => bars.stop(),
  };
}
