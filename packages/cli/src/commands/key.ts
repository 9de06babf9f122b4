import { rm, writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import {
  type ApiKeyScope,
  apiKeyScopes,
  createApiKey,
  InvalidOptionError,
  recordChange,
  type ApiKeyRow,
  listApiKeys,
  revokeApiKey,
} from '@spillway/db';
import { actor, type CliContext, exitCodes, table } from '../cli-context.ts';
import { withPool } from '../connections.ts';

/** The longest that a name may be, in bytes, as for the API. */
const MAX_NAME_BYTES = 128;

/** `spillway key create`. */
export function createCommand(
  context: CliContext,
): Command<[], { name: string; scope: ApiKeyScope[]; expiresIn?: number; output?: string }> {
  return new Command('create')
    .description('create a key and print it once: only a hash is stored')
    .requiredOption('--name <name>', 'a name for its user', parseName)
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
    .option('--output <file>', 'write the key to this new file, readable by its owner only, instead of printing it')
    .addHelpText('after', help)
    .action(async ({ name, scope, expiresIn, output }) => {
      // The file is made first: a key that could not be written would be lost.
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
        // An empty file would make the next attempt fail.
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
  throw new InvalidArgumentError(`It must be a string of 1 to ${MAX_NAME_BYTES} bytes.`);
}

function addScope(value: string, before: ApiKeyScope[] | undefined): ApiKeyScope[] {
  const scope = apiKeyScopes.find((one) => one === value);
  if (scope === undefined) throw new InvalidArgumentError(`Allowed choices are ${apiKeyScopes.join(', ')}.`);
  return [...new Set([...(before ?? []), scope])];
}

const MINUTE_MS = 60_000;
const units: Readonly<Record<string, number>> = { m: MINUTE_MS, h: 60 * MINUTE_MS, d: 1_440 * MINUTE_MS };

/** Ten years, as for the API. */
const LONGEST_MS = 3_650 * 1_440 * MINUTE_MS;

/**
 * Reads minutes, hours or days, such as `90d`.
 * @returns ms
 * @throws {InvalidArgumentError} for anything else, nothing, and more than ten years.
 */
export function parseLifetime(value: string): number {
  const [, count, unit = ''] = /^(\d{1,7})([mhd])$/u.exec(value) ?? [];
  const ms = Number(count) * (units[unit] ?? Number.NaN);
  if (ms > 0 && ms <= LONGEST_MS) return ms;
  throw new InvalidArgumentError(
    'It must be a number of minutes, hours or days such as 30m, 12h or 90d; at most 3650d.',
  );
}

/** Keys of a page; how many there are is a handful. */
const PAGE = 500;

/** `spillway key list`. */
export function listCommand(context: CliContext): Command<[], { active?: true }> {
  return new Command('list')
    .description('list the keys, newest first, without their secrets')
    .option('--active', 'only keys that are valid now')
    .addHelpText('after', '\nNeeds DATABASE_URL: a member of spillway_api, or the owner.')
    .action(async ({ active }) => {
      const rows = await withPool(context, async (pool) => {
        const found: ApiKeyRow[] = [];
        let after: string | null = null;
        do {
          const page: Awaited<ReturnType<typeof listApiKeys>> = await listApiKeys(pool, {
            limit: PAGE,
            ...(after === null ? {} : { after }),
            ...(active === undefined ? {} : { active }),
          });
          found.push(...page.rows);
          after = page.next;
        } while (after !== null);
        return found;
      });
      context.output.result(rows, table(rows.map(humanRow)));
    });
}

function humanRow({ id, name, scopes, ...times }: ApiKeyRow): Readonly<Record<string, unknown>> {
  return {
    id,
    name,
    scopes: scopes.join(' '),
    created: moment(times.createdAtMs),
    expires: moment(times.expiresAtMs),
    revoked: moment(times.revokedAtMs),
    'last used': moment(times.lastUsedAtMs),
  };
}

function moment(ms: number | null): Date | null {
  return ms === null ? null : new Date(ms);
}

const UUID = /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/iu;

/** `spillway key revoke`. */
export function revokeCommand(context: CliContext): Command<[string]> {
  return new Command('revoke')
    .description('revoke a key, within a second on every API; revoking it again changes nothing')
    .argument('<id>', 'the id that `key list` shows')
    .addHelpText(
      'after',
      '\nNeeds DATABASE_URL: a member of spillway_api, or the owner. Ends with 1 when there is no such key.',
    )
    .action(async (id) => {
      // Commander would repeat the value: a key that was pasted in place of its id must not end up in a log.
      if (!UUID.test(id)) throw new InvalidOptionError('id', '(hidden)', 'a UUID');
      const revoked = await withPool(context, async (pool) =>
        recordChange(
          pool,
          (tables) => revokeApiKey(tables, id),
          (done) => (done ? { actor: actor(), action: 'revoke_key', objectKind: 'key', object: id } : undefined),
        ),
      );
      context.output.result({ id, revoked }, revoked ? `Revoked ${id}.` : `There is no key ${id}.`);
      if (!revoked) context.end(exitCodes.failed);
    });
}

/** `spillway key`. */
export function keyCommand(context: CliContext): Command {
  return new Command('key')
    .description('create, list and revoke API keys, the first one included')
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(revokeCommand(context));
}
