import type { Plan } from '../plan.ts';
import { Generator } from './generator.ts';
import type { LoadCommand, LoadEvent } from './messages.ts';

/* The load generator, a process of its own: told what to do, and telling what happened, by its parent's channel. */

const tell = (event: LoadEvent): void => void process.send?.(event);
const generator = new Generator(tell);
let plan: Plan | undefined;

process.on('message', (command: LoadCommand) => {
  if (command.kind === 'connect') plan = command.plan;
  generator.obey(command, plan);
});
// The parent is gone: nobody is left to report to.
process.on('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole group; the parent ends us when it has what it wants.
process.on('SIGINT', () => undefined);
tell({ kind: 'ready' });
