import { Command } from '@commander-js/extra-typings';
import { InvalidOptionError, recordChange, revokeApiKey } from '@spillway/db';
import { actor } from '../../actor.ts';
import type { CliContext } from '../../cli-context.ts';
import { exitCodes } from '../../exit-code.ts';
import { withPool } from '../../with-pool.ts';

const UUID = /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/iu;

/** `spillway key revoke`. */
export function revokeCommand(context: CliContext): Command<[string]> {
  return new Command('revoke')
    .description('end a key, within a second on every API; ending it again changes nothing')
    .argument('<id>', 'its id, as key list shows it')
    .addHelpText(
      'after',
      '\nNeeds DATABASE_URL: a member of spillway_api, or the owner. Ends with 1 when there is no such key.',
    )
    .action(async (id) => {
      // Commander would repeat the value: who pastes a key in place of its id shouldn't find it in a log.
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
