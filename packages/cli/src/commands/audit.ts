import { Command } from '@commander-js/extra-typings';
import type { CliContext } from '../cli-context.ts';
import { gapsCommand, resolveCommand, reconcileCommand } from './audit/gaps.ts';
import { replayCommand } from './audit/replay.ts';
import { tailCommand } from './audit/tail.ts';

/** `spillway audit`. */
export function auditCommand(context: CliContext): Command {
  return new Command('audit')
    .description('inspect and repair the audit trail')
    .addCommand(tailCommand(context))
    .addCommand(replayCommand(context))
    .addCommand(reconcileCommand(context))
    .addCommand(gapsCommand(context))
    .addCommand(resolveCommand(context));
}
