import { availableParallelism } from 'node:os';
import { parseCommand, usage } from './arguments.ts';
import { planRun } from './plan.ts';
import { profiles } from './profile.ts';
import { reportMarkdown } from './report/markdown.ts';
import { saveReport } from './report/save.ts';
import { runScaleTest } from './run.ts';

const command = parseCommand(process.argv.slice(2));
if (command.kind === 'help') {
  console.log(usage);
} else if (command.kind === 'mistake') {
  console.error(`${command.message}\n\n${usage}`);
  process.exitCode = 2;
} else {
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => abort.abort(new Error('stopped before the end')));
  }
  try {
    const plan = planRun(profiles[command.profile], command.durationMs, { cores: availableParallelism() });
    const report = await runScaleTest({ plan, onProgress: console.error, signal: abort.signal });
    if (command.out !== undefined) await saveReport(report, command.out);
    console.log(command.json ? JSON.stringify(report) : reportMarkdown(report));
    process.exitCode = report.passed ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Error && 'code' in error ? error.message : error);
    process.exitCode = 2;
  }
}
