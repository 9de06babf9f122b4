import { readVitals } from '../vitals.ts';
import type { ProgramEvent, ProgramQuestion } from './fleet.ts';

/*
 * The program of a package, `@spillway/worker` or `@spillway/api` by its argument, as it is deployed; and beside it what a process
 * of this test needs: it ends with its parent, and tells when it has started and what it holds.
 */

const [name = ''] = process.argv.slice(2);
const tell = (event: ProgramEvent): void => void process.send?.(event);
process.on('message', ({ kind }: ProgramQuestion) => {
  if (kind === 'vitals') tell({ kind, ...readVitals() });
});
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));

await import(import.meta.resolve(name).replace(/index\.(ts|js)$/, 'main.$1'));
tell({ kind: 'started' });
