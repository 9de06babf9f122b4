import { Command } from '@commander-js/extra-typings';
import {
  applyFile,
  type ApplyReport,
  differenceOf,
  exportFile,
  type FileChange,
  type FileDifference,
  fileJsonSchema,
  readPolicyFile,
} from '@spillway/runtime/file';
import { type CliContext, exitCodes, printable, table } from '../cli-context.ts';
import { withLive } from '../connections.ts';
import { parseLifetime } from './key.ts';

/** `spillway apply`. */
export function applyCommand(context: CliContext): Command<[string]> {
  return new Command('apply')
    .description('apply a spillway.yaml: policies, overrides, lists, plans, breaker presets')
    .argument('<file>', 'a spillway.yaml')
    .option('--diff', 'show what would change, and change nothing')
    .option('--prune', 'also remove entries that the file does not name')
    .addHelpText('after', applyHelp)
    .action(async (path, { diff = false, prune = false }) => {
      const file = await readPolicyFile(path);
      if (diff) {
        const difference = await withLive(context, async (live) => differenceOf(file, await live.list()));
        context.output.result(
          { file: file.name, sha256: file.sha256, ...difference },
          differenceText(difference, prune),
        );
        return;
      }
      const report = await withLive(context, (live) => applyFile(live, file, { prune }));
      context.output.result({ file: file.name, sha256: file.sha256, ...report }, reportText(report));
      if (report.overtaken.length > 0) context.end(exitCodes.partial);
    });
}

/** `spillway export`. */
export function exportCommand(context: CliContext): Command {
  return new Command('export')
    .description('print the current entries as a spillway.yaml; applying that file changes nothing')
    .option('--schema', 'print the JSON schema of the file instead, for editors; needs no server')
    .addHelpText('after', '\nNeeds REDIS_URL, the Redis of the limiters. The file contains no blocks.')
    .action(async ({ schema = false }) => {
      if (schema) {
        const json = fileJsonSchema();
        context.output.result(json, JSON.stringify(json, null, 2));
        return;
      }
      const entries = await withLive(context, (live) => live.list());
      const text = exportFile(entries);
      context.output.result({ yaml: text }, text.trimEnd());
    });
}

const applyHelp = `
Needs REDIS_URL, the Redis of the limiters, and no database. Each change holds within a second in all limiters that are made with
live: true, and is a row of spillway.changes; so is the file, with its SHA-256 and the user of this machine. Entries that
already match are not written again, and entries that the file does not name stay, unless --prune is given. Blocks are never
changed. If an apply is interrupted, the next one sets the rest. Breaker presets hold from the next start of each program that reads
them.`;

function reportText({ set, removed, left, overtaken, recorded, otherLimiters }: ApplyReport): string {
  return [
    ...set.map(line),
    ...removed.map(line),
    set.length + removed.length === 0 ? 'Nothing to change.' : `Set ${set.length}, removed ${removed.length}.`,
    ...(set.length + removed.length === 0 && recorded ? ['Recorded the file.'] : []),
    ...leftText(left),
    ...presetText([...set, ...removed]),
    ...(overtaken.length > 0
      ? [`Another process changed ${overtaken.length} of these in the meantime: apply the file again.`]
      : []),
    ...(otherLimiters === undefined || set.length + removed.length === 0 ? [] : [reachOf({ otherLimiters })]),
  ].join('\n');
}

/** A breaker's preset is fixed when it is made: unlike a policy, a changed one does not reach it. */
function presetText(changes: readonly FileChange[]): string[] {
  if (!changes.some(({ kind }) => kind === 'preset')) return [];
  return ['Breaker presets hold from the next start of each program that reads them.'];
}

/** What a change reaches, in words. */
export function reachOf({ otherLimiters }: { readonly otherLimiters: number }): string {
  if (otherLimiters === 1) return '1 limiter applies it.';
  if (otherLimiters > 1) return `${otherLimiters} limiters apply it.`;
  return 'But no limiter applies it now: none on this Redis has live: true.';
}

function differenceText({ sets, unnamed }: FileDifference, prune: boolean): string {
  const changes = prune ? [...sets, ...unnamed] : sets;
  return [
    ...changes.map(line),
    changes.length === 0 ? 'Nothing would change.' : `${changes.length} would change; nothing was.`,
    ...(prune ? [] : leftText(unnamed)),
  ].join('\n');
}

function leftText(left: readonly FileChange[]): string[] {
  if (left.length === 0) return [];
  const names = left.slice(0, 10).map(({ kind, name }) => `${kind} ${printable(name)}`);
  const more = left.length > names.length ? `, and ${left.length - names.length} more` : '';
  return [`Not in the file, and kept: ${names.join(', ')}${more}. --prune removes them.`];
}

/** `+` is new, `-` is removed, `~` is changed. */
function line({ kind, name, before, after }: FileChange): string {
  const what = `${kind} ${printable(name)}`;
  if (after === undefined) return `- ${what}`;
  if (before === undefined) return `+ ${what}: ${shown(after)}`;
  return `~ ${what}: ${differing(before, after)}`;
}

/** Only the members that differ. */
function differing(before: unknown, after: unknown): string {
  const [one, other] = [membersOf(before), membersOf(after)];
  if (one === undefined || other === undefined) return `${shown(before)} → ${shown(after)}`;
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return names
    .filter((name) => JSON.stringify(one[name]) !== JSON.stringify(other[name]))
    .map((name) => `${name} ${shown(one[name])} → ${shown(other[name])}`)
    .join(', ');
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.fromEntries(Object.entries(value));
}

function shown(value: unknown): string {
  return value === undefined ? 'none' : printable(JSON.stringify(value));
}

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
