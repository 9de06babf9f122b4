import { Command } from '@commander-js/extra-typings';
import { replayDeadLetters, type ReplayReport } from '@spillway/worker';
import type { CliContext } from '../../cli-context.ts';
import { type ExitCode, exitCodes } from '../../exit-code.ts';
import { table } from '../../output.ts';
import { progressBars } from '../../progress-bars.ts';
import { withPool } from '../../with-pool.ts';
import { type DeadLetterSelection, parseSelection } from './dead-letter-selection.ts';

/** `spillway audit replay`. */
export function replayCommand(context: CliContext): Command<[DeadLetterSelection], { dryRun?: true }> {
  const { output, end } = context;
  return new Command('replay')
    .description('store dead letters again, once their cause is gone')
    .argument('<id|range>', 'id of one, or from..to, either of which may be missing; moments are UTC', parseSelection)
    .option('--dry-run', 'try, report, and take it back')
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
  if (selected === 0) return 'No dead letter waits there.';
  const summary = `${dryRun ? 'Would store' : 'Stored'} ${replayed.length} of ${selected}.`;
  return failed.length === 0 ? summary : `${table(failed.map((each) => ({ ...each })))}\n${summary}`;
}

function codeOf({ replayed, failed }: ReplayReport): ExitCode {
  if (failed.length === 0) return exitCodes.ok;
  return replayed.length === 0 ? exitCodes.failed : exitCodes.partial;
}
