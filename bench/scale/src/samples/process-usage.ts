import { readFile } from 'node:fs/promises';

/** What some processes used together. */
export interface Usage {
  /** Share of one core since the last look; above 1 with several. */
  readonly cpu: number;
  readonly rssBytes: number;
}

/** The kernel counts a process' time in hundredths of a second, whatever its own clock. */
const TICK_MS = 10;
const PAGE_BYTES = 4_096;

/** Looks at processes and their descendants by /proc; where there is none (macOS) all is 0. */
export class ProcessMeter {
  #ticks = new Map<number, number>();
  #at = performance.now();

  async look(pids: readonly (number | undefined)[]): Promise<Usage> {
    const all = await Promise.all(pids.filter((pid) => pid !== undefined).map(withDescendants));
    const found = await Promise.all(all.flat().map(readProcess));
    const processes = found.filter((process) => process !== undefined);
    const now = performance.now();
    const elapsed = now - this.#at;
    this.#at = now;
    // A process that is new since the last look has used all of its time since then.
    const used = processes.reduce((sum, { pid, ticks }) => sum + ticks - (this.#ticks.get(pid) ?? 0), 0);
    this.#ticks = new Map(processes.map(({ pid, ticks }) => [pid, ticks]));
    return {
      cpu: (used * TICK_MS) / elapsed,
      rssBytes: processes.reduce((sum, { rssBytes }) => sum + rssBytes, 0),
    };
  }
}

async function withDescendants(pid: number): Promise<readonly number[]> {
  const children = await readOr(`/proc/${pid}/task/${pid}/children`);
  const descendants = await Promise.all(children.split(' ').filter(Boolean).map(Number).map(withDescendants));
  return [pid, ...descendants.flat()];
}

interface ProcessTimes {
  readonly pid: number;
  readonly ticks: number;
  readonly rssBytes: number;
}

async function readProcess(pid: number): Promise<ProcessTimes | undefined> {
  const text = await readOr(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses, which may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields.length < 22) return undefined;
  return { pid, ticks: Number(fields[11]) + Number(fields[12]), rssBytes: Number(fields[21]) * PAGE_BYTES };
}

async function readOr(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
