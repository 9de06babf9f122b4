import { readFile } from 'node:fs/promises';

/** Who has a rule of its own in docs/operations.md: applications, the worker and the API. */
export type DocumentedRedisUser = 'app' | 'worker' | 'api';

/**
 * The rule of a Redis user as docs/operations.md has it, for `ACL SETUSER NAME …rule`; its password is `pw`. So what the
 * documentation says is what tests try.
 * @param namespace '' or 'staging': the two that the page writes out
 * @throws Error when the page has no such line
 */
export async function documentedRedisUser(user: DocumentedRedisUser, namespace: '' | 'staging'): Promise<string[]> {
  const page = await readFile(new URL('../../../../docs/operations.md', import.meta.url), 'utf8');
  const name = namespace === '' ? `spillway-${user}` : `spillway-${namespace}-${user}`;
  const line = page.split('\n').find((each) => each.startsWith(`ACL SETUSER ${name} `));
  if (line === undefined) throw new Error(`docs/operations.md has no rule for ${name}`);
  return line.replace('>PASSWORD', '>pw').split(' ').slice(3);
}
