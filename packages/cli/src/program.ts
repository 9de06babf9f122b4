import { createRequire } from 'node:module';
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { ConfigError, maskValues } from '@spillway/runtime';
import { CommanderError } from 'commander';
import { z } from 'zod';
import { type CliContext, type ExitCode, exitCodeHelp, exitCodes, type Output } from './cli-context.ts';
import { RedisUnavailableError } from './config.ts';

const { version } = z.object({ version: z.string() }).parse(createRequire(import.meta.url)('../package.json'));

type CommandFactory = (context: CliContext) => CommandUnknownOpts;

/** Loaded when they are asked for: a command must not wait for what only another one needs (a queue, a pool, a limiter). */
const loaders = new Map<string, () => Promise<CommandFactory>>([
  ['init', async () => (await import('./commands/init.ts')).initCommand],
  ['migrate', async () => (await import('./commands/database.ts')).migrateCommand],
  ['worker', async () => (await import('./commands/maintenance.ts')).workerCommand],
  ['maintenance', async () => (await import('./commands/maintenance.ts')).maintenanceCommand],
  ['queries', async () => (await import('./commands/database.ts')).queriesCommand],
  ['doctor', async () => (await import('./doctor/doctor.ts')).doctorCommand],
  ['audit', async () => (await import('./commands/audit/audit.ts')).auditCommand],
  ['key', async () => (await import('./commands/key.ts')).keyCommand],
  ['subject', async () => (await import('./commands/live.ts')).subjectCommand],
  ['apply', async () => (await import('./commands/live.ts')).applyCommand],
  ['export', async () => (await import('./commands/live.ts')).exportCommand],
]);

/** The command that a command line names; all of them where it names none, since help and suggestions list them. */
async function loadCommands(argv: readonly string[]): Promise<readonly CommandFactory[]> {
  if (argv[0] === '--version') return [];
  const load = loaders.get(nameIn(argv));
  return load === undefined ? Promise.all([...loaders.values()].map((each) => each())) : [await load()];
}

/** The command's name, as it is written; empty if there is none. */
function nameIn(argv: readonly string[]): string {
  return argv.find((word) => !word.startsWith('-')) ?? '';
}

/**
 * Runs a command line and returns what to end with. Never rejects: errors are printed on stderr, as JSON with `--json`.
 * @param argv without the program's own name.
 */
export async function runCli(argv: readonly string[], context: Omit<CliContext, 'end'>): Promise<ExitCode> {
  const { output } = context;
  let code: ExitCode = exitCodes.ok;
  const end = (ended: ExitCode): void => {
    code = ended;
  };
  const program = buildProgram({ ...context, end }, await loadCommands(argv));
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return endOfUsage(error, output);
    const exitCode = await codeOf(error);
    const hint = isUnmigrated(error) && nameIn(argv) !== 'migrate' ? UNMIGRATED : '';
    output.failure({ error: messageOf(error) + hint, exitCode });
    return exitCode;
  }
}

function buildProgram(context: CliContext, commands: readonly CommandFactory[]): Command {
  const { output } = context;
  const program = new Command('spillway')
    .description('Spillway: rate limits, circuit breakers and their audit trail')
    .version(version, '--version', 'print the version')
    .option('--json', 'print JSON instead of tables')
    .addHelpText('after', exitCodeHelp);
  for (const make of commands) program.addCommand(make(context));
  settle(program, output);
  return program;
}

/**
 * For every command: errors as exceptions, text through our own streams, `--json` before and behind the command. Whether it is
 * there has been found out before the command line is parsed, because what is wrong with the command line is said as JSON too.
 */
function settle(command: CommandUnknownOpts, output: Output): void {
  command
    .exitOverride()
    .configureOutput({
      writeOut: (text) => output.stdout.write(text),
      writeErr: (text) => output.json || output.stderr.write(text),
    })
    .showHelpAfterError('(--help has the details)');
  for (const each of command.commands) {
    if (each.commands.length === 0) each.option('--json', 'print JSON instead of tables');
    settle(each, output);
  }
}

/** Help and version were asked for; anything else Commander has told people itself. */
function endOfUsage({ exitCode, code, message }: CommanderError, output: Output): ExitCode {
  if (exitCode === 0) return exitCodes.ok;
  const error = code === 'commander.help' ? 'a command is missing' : message.replace(/^error: /u, '');
  if (output.json) output.failure({ error, exitCode: exitCodes.usage });
  return exitCodes.usage;
}

/** An error of several addresses that were tried in vain has no message of its own. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return maskValues(error instanceof Error ? error.message || error.name : String(error));
}

const UNMIGRATED = '. The database is not migrated: run spillway migrate';

/** undefined_table, undefined_function, invalid_schema_name: what a database without our tables answers. */
function isUnmigrated(error: unknown): boolean {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return code === '42P01' || code === '42883' || code === '3F000';
}

/** Not before something went wrong: to load the two packages takes longer than many a command. */
async function codeOf(error: unknown): Promise<ExitCode> {
  if (error instanceof RedisUnavailableError) return exitCodes.unavailable;
  if (error instanceof ConfigError) return exitCodes.usage;
  const { InitError } = await import('./commands/init.ts');
  const { PolicyFileError } = await import('@spillway/runtime/file');
  if (error instanceof InitError || error instanceof PolicyFileError) return exitCodes.usage;
  const db = await import('@spillway/db');
  const limiter = await import('@spillway/limiter');
  if (error instanceof limiter.LimiterUnavailableError) return exitCodes.unavailable;
  if (error instanceof limiter.LimiterInputError || error instanceof db.InvalidOptionError) return exitCodes.usage;
  return db.classifyDbError(error) === 'unavailable' ? exitCodes.unavailable : exitCodes.failed;
}
