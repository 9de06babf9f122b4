import { randomBytes } from 'node:crypto';
import { escapeIdentifier } from 'pg';
import { afterEach } from 'vitest';
import { withClient } from '../postgres/databases.ts';

/** Makes users for the tests of one file. */
export interface LoginFixture {
  /** Makes a user who is a member of these roles, and resolves to the database's URL as that user; gone after the test. */
  create(url: string, ...roles: readonly string[]): Promise<string>;
}

/**
 * Users belong to the whole server, which files share: each has a name of its own and is dropped after its test. Call it after
 * `usePostgres`: hooks run backwards, and a user goes before the database in which it may own something.
 */
export function useLogins(): LoginFixture {
  const made: { url: string; name: string }[] = [];
  afterEach(async () => {
    for (const { url, name } of made.splice(0)) {
      await withClient(url, async (client) => {
        await client.query(`REASSIGN OWNED BY ${escapeIdentifier(name)} TO CURRENT_USER`);
        await client.query(`DROP OWNED BY ${escapeIdentifier(name)}`);
        await client.query(`DROP ROLE ${escapeIdentifier(name)}`);
      });
    }
  });
  return {
    async create(url, ...roles) {
      const name = `login_${randomBytes(6).toString('hex')}`;
      const membership = roles.length === 0 ? '' : ` IN ROLE ${roles.map(escapeIdentifier).join(', ')}`;
      await withClient(url, (client) => client.query(`CREATE ROLE ${escapeIdentifier(name)} LOGIN${membership}`));
      made.push({ url, name });
      const login = new URL(url);
      login.username = name;
      login.password = '';
      return login.href;
    },
  };
}
