import { availableParallelism, constants } from 'node:os';
import { onStopRequest, type StopSignal } from '@spillway/runtime';
import { type Command, parseCommand, usage } from './arguments.ts';
import { planRun, planSoak, profiles } from './plan.ts';
import { reportMarkdown, saveReport } from './report/pages.ts';
import { runScaleTest } from './run.ts';

/** All of the teardown after a signal, whatever hangs. What is left then ends with its channel, or by its own guard. */
const EXIT_DEADLINE_MS = 10_000;

/** A signal ends the run early. */
class StopRequest extends Error {
  readonly code = 'stopped';
  override readonly name = 'StopRequest';
  /** As a shell would say it: 130 for SIGINT, 143 for SIGTERM. */
  readonly exitCode: number;

  constructor(signal: StopSignal) {
    super(`Stopped by ${signal}: everything that was started is gone, and there is no report`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/** Aborts once with a {@link StopRequest}, when a signal or the death of our package manager asks for it. */
function stopRequests(): AbortSignal {
  const abort = new AbortController();
  onStopRequest({
    terminal: { underPackageManager: process.env['npm_lifecycle_event'] !== undefined },
    stop: (signal) => {
      const request = new StopRequest(signal);
      setTimeout(() => process.exit(request.exitCode), EXIT_DEADLINE_MS).unref();
      abort.abort(request);
    },
  });
  return abort.signal;
}

async function run({ profile, durationMs, cluster, soak, out, json }: Command & { kind: 'run' }): Promise<void> {
  const signal = stopRequests();
  try {
    const plan = (soak ? planSoak : planRun)(profiles[profile], durationMs, { cores: availableParallelism(), cluster });
    const report = await runScaleTest({ plan, onProgress: console.error, signal });
    if (out !== undefined) await saveReport(report, out);
    console.log(json ? JSON.stringify(report) : reportMarkdown(report));
    process.exitCode = report.passed ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Error && 'code' in error ? error.message : error);
    // Not waiting for what the run had under way when it was interrupted.
    process.exit(error instanceof StopRequest ? error.exitCode : 2);
  }
}

const command = parseCommand(process.argv.slice(2));
if (command.kind === 'run') {
  await run(command);
} else if (command.kind === 'help') {
  console.log(usage);
} else {
  console.error(`${command.message}\n\n${usage}`);
  process.exitCode = 2;
}
