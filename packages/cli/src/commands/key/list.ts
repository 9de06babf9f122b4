import { Command } from '@commander-js/extra-typings';
import { type ApiKeyRow, listApiKeys } from '@spillway/db';
import type { CliContext } from '../../cli-context.ts';
import { table } from '../../output.ts';
import { withPool } from '../../with-pool.ts';

/** Keys of a page; how many there are is a handful. */
const PAGE = 500;

/** `spillway key list`. */
export function listCommand(context: CliContext): Command<[], { active?: true }> {
  return new Command('list')
    .description('the keys, newest first, without their secrets')
    .option('--active', 'only those that can be used now')
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
