import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { replayDeadLetters, type ReplayReport } from '@spillway/worker';
import { type CliContext, type ExitCode, exitCodes, table } from '../../cli-context.ts';
import { withPool } from '../../connections.ts';
import { progressBars } from '../../progress-bars.ts';

/** `spillway audit replay`. */
export function replayCommand(context: CliContext): Command<[DeadLetterSelection], { dryRun?: true }> {
  const { output, end } = context;
  return new Command('replay')
    .description('store dead letters again, after their cause was repaired')
    .argument('<id|range>', 'an id, or from..to, either of which may be omitted; times are UTC', parseSelection)
    .option('--dry-run', 'report what would be stored, then roll back')
    .addHelpText('after', help)
    .action(async (selection, { dryRun = false }) => {
      const bars = progressBars(output);
      const onProgress = (done: number, total: number): void => bars.show({ table: 'dead letters', done, total });
      const report = await withPool(context, async (pool) =>
        replayDeadLetters({ pool }, { ...selection, dryRun, onProgress }),
      ).finally(bars.stop);
      output.result(report, formatHuman(report));
      end(codeOf(report));
    });
}

const help = `
Needs DATABASE_URL. Ends with 3 when some letters were refused again, with 1 when all were; they stay as they were.

Examples:
  spillway audit replay 6f1b0a52-7c0e-8f3a-9d2b-0123456789ab
  spillway audit replay 2026-01-31..2026-02-01T12:00 --dry-run
  spillway audit replay ..                                      all that wait`;

function formatHuman({ selected, replayed, failed, dryRun }: ReplayReport): string {
  if (selected === 0) return 'There is no such dead letter.';
  const summary = `${dryRun ? 'Would store' : 'Stored'} ${replayed.length} of ${selected}.`;
  return failed.length === 0 ? summary : `${table(failed.map((each) => ({ ...each })))}\n${summary}`;
}

function codeOf({ replayed, failed }: ReplayReport): ExitCode {
  if (failed.length === 0) return exitCodes.ok;
  return replayed.length === 0 ? exitCodes.failed : exitCodes.partial;
}

/** Which dead letters: one, or those kept from a moment on and before another. */
export interface DeadLetterSelection {
  readonly ids?: readonly string[];
  readonly from?: Date;
  readonly to?: Date;
}

const UUID = /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/iu;
const MOMENT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/u;
const EXPECTED =
  'It must be a UUID, or two moments in order such as 2026-01-31..2026-02-01T12:00; either may be missing.';

/**
 * Reads an id or a range. A moment without an offset is UTC, whatever the machine's time zone.
 * @throws {InvalidArgumentError} for anything else.
 */
export function parseSelection(value: string): DeadLetterSelection {
  if (UUID.test(value)) return { ids: [value] };
  const [first, second, ...rest] = value.split('..');
  if (first === undefined || second === undefined || rest.length > 0) throw new InvalidArgumentError(EXPECTED);
  const from = parseMoment(first);
  const to = parseMoment(second);
  if (from !== undefined && to !== undefined && from >= to) throw new InvalidArgumentError(EXPECTED);
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
}

function parseMoment(text: string): Date | undefined {
  if (text === '') return undefined;
  const match = MOMENT.exec(text);
  const local = text.includes('T') && match?.[1] === undefined;
  const moment = new Date(local ? `${text}Z` : text);
  if (match === null || Number.isNaN(moment.getTime())) throw new InvalidArgumentError(EXPECTED);
  return moment;
}
