import { createRequire } from 'node:module';
import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { ConfigError, maskValues } from '@spillway/runtime';
import { classifyDbError, InvalidOptionError } from '@spillway/db';
import { LimiterInputError, LimiterUnavailableError } from '@spillway/limiter';
import { CommanderError } from 'commander';
import { PolicyFileError } from '@spillway/runtime/file';
import { z } from 'zod';
import type { CliContext } from './cli-context.ts';
import { auditCommand } from './commands/audit/audit.ts';
import { doctorCommand } from './commands/doctor.ts';
import { keyCommand } from './commands/key/key.ts';
import { maintenanceCommand } from './commands/maintenance.ts';
import { migrateCommand } from './commands/migrate.ts';
import { applyCommand, exportCommand } from './commands/policy-file.ts';
import { queriesCommand } from './commands/queries.ts';
import { subjectCommand } from './commands/subject.ts';
import { workerCommand } from './commands/worker.ts';
import { type ExitCode, exitCodeHelp, exitCodes } from './exit-code.ts';
import { RedisUnavailableError } from './open-redis.ts';
import type { Output } from './output.ts';

const { version } = z.object({ version: z.string() }).parse(createRequire(import.meta.url)('../package.json'));

/**
 * Runs a command line and returns what to end with. Never rejects: what goes wrong is said on stderr, as JSON with `--json`.
 * @param argv without the program's own name.
 */
export async function runCli(argv: readonly string[], context: Omit<CliContext, 'end'>): Promise<ExitCode> {
  const { output } = context;
  let code: ExitCode = exitCodes.ok;
  const program = buildProgram({
    ...context,
    end: (ended) => {
      code = ended;
    },
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return endOfUsage(error, output);
    const exitCode = codeOf(error);
    output.failure({ error: messageOf(error), exitCode });
    return exitCode;
  }
}

function buildProgram(context: CliContext): Command {
  const { output } = context;
  const program = new Command('spillway')
    .description('Spillway: rate limits, circuit breakers and their audit trail')
    .version(version, '--version', 'print the version')
    .option('--json', 'print JSON instead of tables')
    .addHelpText('after', exitCodeHelp);
  const commands = [
    migrateCommand,
    workerCommand,
    maintenanceCommand,
    queriesCommand,
    doctorCommand,
    auditCommand,
    keyCommand,
    subjectCommand,
    applyCommand,
    exportCommand,
  ];
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
    .showHelpAfterError('(--help tells more)');
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
  const message = maskValues(error instanceof Error ? error.message || error.name : String(error));
  return isUnmigrated(error) ? `${message}. The database is not migrated: run spillway migrate` : message;
}

/** undefined_table, undefined_function, invalid_schema_name: what a database without our tables answers. */
function isUnmigrated(error: unknown): boolean {
  const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  return code === '42P01' || code === '42883' || code === '3F000';
}

function codeOf(error: unknown): ExitCode {
  if (error instanceof RedisUnavailableError || error instanceof LimiterUnavailableError) return exitCodes.unavailable;
  if (error instanceof LimiterInputError) return exitCodes.usage;
  if (error instanceof ConfigError || error instanceof InvalidOptionError || error instanceof PolicyFileError) {
    return exitCodes.usage;
  }
  return classifyDbError(error) === 'unavailable' ? exitCodes.unavailable : exitCodes.failed;
}
