import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { insertChange } from '@spillway/db';
import { MOST_LETTERS, replayJob, type ReplayReport, type ReplaySelection, runJob } from '@spillway/worker';
import { actor, type CliContext, type ExitCode, exitCodes, silentLogger, table } from '../../cli-context.ts';
import { withPool } from '../../connections.ts';
import { progressBars } from '../../progress-bars.ts';

/** `spillway audit replay`. */
export function replayCommand(context: CliContext): Command<[ReplaySelection], { dryRun?: true }> {
  const { output, end } = context;
  return new Command('replay')
    .description('store dead letters again, after their cause was repaired')
    .argument('<id|range>', 'an id, or from..to, either of which may be omitted; times are UTC', parseSelection)
    .option('--dry-run', 'report what would be stored, then roll back')
    .addHelpText('after', help)
    .action(async (selection, { dryRun = false }) => {
      const found = await replay(context, { ...selection, limit: MOST_LETTERS }, dryRun);
      if (found === 'busy') {
        output.result({ status: 'busy' }, 'Another process is replaying dead letters.');
        end(exitCodes.partial);
        return;
      }
      output.result(found, formatHuman(found, dryRun));
      end(codeOf(found));
    });
}

/** A run of `replay-dead-letters`, in this process. */
async function replay(
  context: CliContext,
  selection: ReplaySelection,
  dryRun: boolean,
): Promise<ReplayReport | 'busy'> {
  const bars = progressBars(context.output);
  return withPool(context, async (pool) => {
    let found: ReplayReport | undefined;
    const job = replayJob({ pool }, (report) => {
      found = report;
    });
    const after = { dryRun, selection };
    await insertChange(pool, { actor: actor(), action: 'run_job', objectKind: 'job', object: job.name, after });
    const { status, errorMessage } = await runJob({ pool, logger: silentLogger }, job, {
      trigger: 'cli',
      dryRun,
      selection,
      signal: context.signal,
      onProgress: bars.show,
    });
    if (status === 'busy') return 'busy';
    if (found === undefined) throw new Error(errorMessage ?? 'it failed');
    return found;
  }).finally(bars.stop);
}

const help = `
Needs DATABASE_URL. A run in spillway.job_runs, like those that POST /v1/audit/dead-letters/replay asks for. Ends with 3 when some
letters were refused again or not tried, with 1 when all were refused; they stay as they were.

Examples:
  spillway audit replay 6f1b0a52-7c0e-8f3a-9d2b-0123456789ab
  spillway audit replay 2026-01-31..2026-02-01T12:00 --dry-run
  spillway audit replay ..                                      all that wait`;

function formatHuman({ selected, replayed, refused, refusals, skipped, left }: ReplayReport, dryRun: boolean): string {
  if (selected === 0) return 'There is no such dead letter.';
  const others = [...refusals, ...skipped].map(({ id, reason }) => ({ id, reason }));
  const notTried = left === 0 ? '' : ` ${left} not tried.`;
  const notShown = refused > refusals.length ? ` ${refused} were refused; the first ${refusals.length} are shown.` : '';
  const summary = `${dryRun ? 'Would store' : 'Stored'} ${replayed} of ${selected}.${notTried}${notShown}`;
  return others.length === 0 ? summary : `${table(others)}\n${summary}`;
}

function codeOf({ replayed, refused, left }: ReplayReport): ExitCode {
  if (refused + left === 0) return exitCodes.ok;
  return replayed === 0 && left === 0 ? exitCodes.failed : exitCodes.partial;
}

const UUID = /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/iu;
const MOMENT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/u;
const EXPECTED =
  'It must be a UUID, or two moments in order such as 2026-01-31..2026-02-01T12:00; either may be missing.';

/**
 * Reads an id or a range. A moment without an offset is UTC, whatever the machine's time zone.
 * @throws {InvalidArgumentError} for anything else.
 */
export function parseSelection(value: string): ReplaySelection {
  if (UUID.test(value)) return { ids: [value.toLowerCase()] };
  const [first, second, ...rest] = value.split('..');
  if (first === undefined || second === undefined || rest.length > 0) throw new InvalidArgumentError(EXPECTED);
  const from = parseMoment(first);
  const to = parseMoment(second);
  if (from !== undefined && to !== undefined && from >= to) throw new InvalidArgumentError(EXPECTED);
  return {
    ...(from === undefined ? {} : { sinceMs: from.getTime() }),
    ...(to === undefined ? {} : { untilMs: to.getTime() }),
  };
}

function parseMoment(text: string): Date | undefined {
  if (text === '') return undefined;
  const match = MOMENT.exec(text);
  const local = text.includes('T') && match?.[1] === undefined;
  const moment = new Date(local ? `${text}Z` : text);
  if (match === null || Number.isNaN(moment.getTime())) throw new InvalidArgumentError(EXPECTED);
  return moment;
}
