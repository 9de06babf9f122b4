import { Command } from '@commander-js/extra-typings';
import { type CliContext, exitCodes, printable, table } from '../cli-context.ts';
import { withLive } from '../connections.ts';
import { parseLifetime } from './key.ts';
import { reachOf } from './policy-file.ts';

/** `spillway subject`. */
export function subjectCommand(context: CliContext): Command {
  return new Command('subject')
    .description('block a subject everywhere, and list blocked subjects')
    .addCommand(blockCommand(context))
    .addCommand(unblockCommand(context))
    .addCommand(listCommand(context));
}

function blockCommand(context: CliContext): Command<[string], { for?: number; why?: string }> {
  return new Command('block')
    .description('refuse a subject under every policy and action, for a time or until it is unblocked')
    .argument('<subject>', 'the subject as the limiters get it, such as ip:203.0.113.7; * is no pattern')
    .option('--for <time>', 'such as 30m, 12h or 7d, at most 49d', parseLifetime)
    .option('--why <text>', 'the reason, for the trail')
    .addHelpText('after', help)
    .action(async (subject, { for: durationMs, why }) => {
      const options = { ...(durationMs === undefined ? {} : { durationMs }), ...reasonOf(why) };
      const { blockedUntilMs, ...done } = await withLive(context, (live) => live.blockEverywhere(subject, options));
      const end = Number.isFinite(blockedUntilMs) ? new Date(blockedUntilMs).toISOString() : undefined;
      const said = `Blocked ${printable(subject)} ${end === undefined ? 'until it is unblocked' : `until ${end}`}.`;
      context.output.result({ subject, ...done, blockedUntil: end ?? null }, `${said} ${reachOf(done)}`);
    });
}

function unblockCommand(context: CliContext): Command<[string], { why?: string }> {
  return new Command('unblock')
    .description('end such a block; blocks of single policies stay')
    .argument('<subject>', 'the subject that was blocked')
    .option('--why <text>', 'the reason, for the trail')
    .addHelpText('after', `${help} Ends with 1 when there is no such block.`)
    .action(async (subject, { why }) => {
      const done = await withLive(context, (live) => live.unblockEverywhere(subject, reasonOf(why)));
      const name = printable(subject);
      const said = done.existed ? `Unblocked ${name}. ${reachOf(done)}` : `${name} is not blocked everywhere.`;
      context.output.result({ subject, ...done }, said);
      if (!done.existed) context.end(exitCodes.failed);
    });
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('list the subjects that are blocked everywhere')
    .addHelpText('after', '\nNeeds REDIS_URL.')
    .action(async () => {
      const { blocked } = await withLive(context, (live) => live.list());
      const rows = blocked.map(({ subject, blockedUntilMs }) => ({
        subject,
        blockedUntil: Number.isFinite(blockedUntilMs) ? new Date(blockedUntilMs).toISOString() : null,
      }));
      context.output.result({ blocked: rows }, rows.length === 0 ? 'No subject is blocked everywhere.' : table(rows));
    });
}

const help = `
Needs REDIS_URL, the Redis of the limiters. Holds within a second in all limiters that are made with live: true; the answer
says how many there are. The trail has a row, with the user of this machine.`;

function reasonOf(why: string | undefined): { readonly why?: string } {
  return why === undefined ? {} : { why };
}
