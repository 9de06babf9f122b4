import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { median } from '../quantile.ts';
import type { CallCost } from './in-process.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('one-process.ts', import.meta.url));
const NODE_ARGS = ['--conditions=@spillway/source', '--import', 'tsx'];

/** Odd, so that a median is one of the processes. */
export const PROCESSES = 7;

/**
 * What calls cost, as the median of several processes: what the compiler makes of the same code differs from process to
 * process by more than rounds do within one.
 */
export async function callCosts(redisUrl: string): Promise<readonly CallCost[]> {
  const processes: (readonly CallCost[])[] = [];
  for (let index = 0; index < PROCESSES; index += 1) {
    const { stdout } = await run(process.execPath, [...NODE_ARGS, program, redisUrl]);
    processes.push(JSON.parse(stdout));
  }
  const [first = []] = processes;
  return first.map(({ name, timeout }, place) => {
    const over = (field: keyof CallCost): number =>
      median(processes.map((costs) => Number(costs[place]?.[field] ?? Number.NaN)));
    return {
      name,
      timeout,
      nanos: over('nanos'),
      nanosInFlight: over('nanosInFlight'),
      nanosRatio: over('nanosRatio'),
      refusalsPerSecond: over('refusalsPerSecond'),
      refusalRatio: over('refusalRatio'),
    };
  });
}
