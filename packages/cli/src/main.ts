#!/usr/bin/env node
import { onStopRequest } from '@spillway/runtime';
import { exitCodes, createOutput } from './cli-context.ts';
import { runCli } from './program.ts';

const stop = new AbortController();
// The first signal asks a command to end after what it is at. Under npx Ctrl-C comes twice, which counts as one.
const giveSignalsBack = onStopRequest({ stop: () => stop.abort() });

// Who reads us may stop before we do (`spillway audit tail | head`), or the disk that we write to be full.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok);
  process.stderr.write(`stdout cannot be written: ${error.message}\n`);
  process.exit(exitCodes.failed);
});
// There is nowhere left to say so; the exit code still tells.
process.stderr.on('error', () => undefined);

const argv = process.argv.slice(2);
const code = await runCli(argv, {
  env: process.env,
  output: createOutput({ stdout: process.stdout, stderr: process.stderr, json: argv.includes('--json') }),
  signal: stop.signal,
  runWorker: async () => {
    // It takes the signals over when it runs. One that came here while it starts would end nothing.
    giveSignalsBack();
    if (stop.signal.aborted) process.exit(exitCodes.failed);
    await import('@spillway/worker/main');
  },
});
// A worker that could not start has connections open; one that did start goes on.
if (code !== exitCodes.ok) process.exit(code);
