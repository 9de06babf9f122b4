import { liveBytes } from '../vitals.ts';
import type { WorkerEvent, WorkerQuestion } from './fleet.ts';

/* The worker's own program, and beside it what a process of this test needs: it ends with its parent and tells its memory. */

const tell = (event: WorkerEvent): void => void process.send?.(event);
process.on('message', ({ kind }: WorkerQuestion) => {
  if (kind === 'vitals') tell({ kind, liveBytes: liveBytes() });
});
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));

const index = import.meta.resolve('@spillway/worker');
await import(index.replace(/index\.(ts|js)$/, 'main.$1'));
