import { Command } from '@commander-js/extra-typings';
import type { CliContext } from '../../cli-context.ts';
import { createCommand } from './create.ts';
import { listCommand } from './list.ts';
import { revokeCommand } from './revoke.ts';

/** `spillway key`. */
export function keyCommand(context: CliContext): Command {
  return new Command('key')
    .description('make, list and end keys of the API; the first one too')
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(revokeCommand(context));
}
