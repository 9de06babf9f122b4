import { availableParallelism } from 'node:os';
import { onStopRequest } from '@spillway/local-servers';
import { type Command, parseCommand, usage } from './arguments.ts';
import { planRun } from './plan.ts';
import { profiles } from './profile.ts';
import { reportMarkdown } from './report/markdown.ts';
import { saveReport } from './report/save.ts';
import { runScaleTest } from './run.ts';
import { StopRequest } from './stop-request.ts';

/** All of the teardown after a signal, whatever hangs. What is left then ends with its channel, or by its own guard. */
const EXIT_DEADLINE_MS = 10_000;

/** Aborts once with a {@link StopRequest}, when a signal or the death of our package manager asks for it. */
function stopRequests(): AbortSignal {
  const abort = new AbortController();
  onStopRequest({
    underPackageManager: process.env['npm_lifecycle_event'] !== undefined,
    stop: (signal) => {
      const request = new StopRequest(signal);
      setTimeout(() => process.exit(request.exitCode), EXIT_DEADLINE_MS).unref();
      abort.abort(request);
    },
    insist: (signal) => process.exit(new StopRequest(signal).exitCode),
  });
  return abort.signal;
}

async function run({ profile, durationMs, out, json }: Command & { kind: 'run' }): Promise<void> {
  const signal = stopRequests();
  try {
    const plan = planRun(profiles[profile], durationMs, { cores: availableParallelism() });
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
