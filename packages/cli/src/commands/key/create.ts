import { rm, writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { type ApiKeyScope, apiKeyScopes, createApiKey, InvalidOptionError, recordChange } from '@spillway/db';
import { actor } from '../../actor.ts';
import type { CliContext } from '../../cli-context.ts';
import { withPool } from '../../with-pool.ts';
import { parseLifetime } from './lifetime.ts';

/** The longest that a name may be, in bytes, as for the API. */
const MAX_NAME_BYTES = 128;

/** `spillway key create`. */
export function createCommand(
  context: CliContext,
): Command<[], { name: string; scope: ApiKeyScope[]; expiresIn?: number; output?: string }> {
  return new Command('create')
    .description('make a key and print it, this once: what is stored is a hash')
    .requiredOption('--name <name>', 'who uses it', parseName)
    .addOption(
      new Option('--scope <scopes...>', `what it may do: ${apiKeyScopes.join(', ')}, one or more`)
        .argParser(addScope)
        .makeOptionMandatory(),
    )
    .option(
      '--expires-in <time>',
      'such as 90d, 12h or 30m; without it the key is valid until it is revoked',
      parseLifetime,
    )
    .option('--output <file>', 'write the key to this new file, which only its owner can read, and print nothing of it')
    .addHelpText('after', help)
    .action(async ({ name, scope, expiresIn, output }) => {
      // The file is made first: a key that could not be written would be nobody's.
      if (output !== undefined) await makeFile(output);
      const expiry = expiresIn === undefined ? {} : { expiresInMs: expiresIn };
      const { key, row } = await withPool(context, async (pool) =>
        recordChange(
          pool,
          (tables) => createApiKey(tables, { name, scopes: scope, ...expiry }),
          (made) => ({
            actor: actor(),
            action: 'create_key',
            objectKind: 'key',
            object: made.row.id,
            after: { name, scopes: scope, expiresAtMs: made.row.expiresAtMs },
          }),
        ),
      ).catch(async (error: unknown) => {
        // An empty file would stand in the way of the next attempt.
        if (output !== undefined) await rm(output, { force: true });
        throw error;
      });
      if (output !== undefined) {
        await writeFile(output, `${key}\n`);
        context.output.result({ ...row, file: output }, `Wrote the key of ${row.name} to ${output}.`);
        return;
      }
      // The key alone on stdout, so that it can be kept by a shell; all else is in the list.
      context.output.result({ ...row, key }, key);
    });
}

/** @throws {InvalidOptionError} when it is there or can't be made. */
async function makeFile(file: string): Promise<void> {
  try {
    await writeFile(file, '', { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw new InvalidOptionError('output', file, `a new file (${error instanceof Error ? error.message : 'not made'})`);
  }
}

const help = `
Needs DATABASE_URL: a member of spillway_api, or the owner. The API takes the key within a second.
A container's output is kept by whatever collects logs: use --output there.
Examples:
  spillway key create --name ops --scope admin
  spillway key create --name gateway --scope decide read --expires-in 90d`;

function parseName(value: string): string {
  const bytes = Buffer.byteLength(value);
  if (bytes >= 1 && bytes <= MAX_NAME_BYTES && value.isWellFormed()) return value;
  throw new InvalidArgumentError(`It must be a text of 1 to ${MAX_NAME_BYTES} bytes.`);
}

function addScope(value: string, before: ApiKeyScope[] | undefined): ApiKeyScope[] {
  const scope = apiKeyScopes.find((one) => one === value);
  if (scope === undefined) throw new InvalidArgumentError(`Allowed choices are ${apiKeyScopes.join(', ')}.`);
  return [...new Set([...(before ?? []), scope])];
}
