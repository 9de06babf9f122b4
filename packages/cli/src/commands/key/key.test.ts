import { activeApiKeys, parseKey, secretMatches } from '@spillway/db';
import { expect, it } from 'vitest';
import { type Ended, spillway } from '../../testing/spillway.ts';
import { useServers } from '../../testing/use-servers.ts';

const servers = useServers();
const run = async (...args: string[]): Promise<Ended> => spillway(['key', ...args], servers.env);

it('makes the first key of an API, which is printed alone and stored as a hash', async () => {
  const { code, stdout, stderr } = await run('create', '--name', 'ops', '--scope', 'admin');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const parts = parseKey(stdout.trimEnd());
  const [stored] = await activeApiKeys(servers.postgres.pool);
  expect(stored).toMatchObject({ id: parts?.id, name: 'ops', scopes: ['admin'], expiresInMs: null });
  expect(secretMatches(parts?.secret ?? '', stored?.secretHash ?? Buffer.alloc(0))).toBe(true);
});

it('lists keys without their secrets, and revokes one', async () => {
  const made = await run('create', '--name', 'gateway', '--scope', 'decide', 'read', '--expires-in', '90d', '--json');
  const { id, key } = JSON.parse(made.stdout) as { id: string; key: string };
  const listed = await run('list', '--json');
  expect(JSON.parse(listed.stdout)).toMatchObject([
    { id, name: 'gateway', scopes: ['decide', 'read'], expiresAtMs: expect.any(Number), revokedAtMs: null },
  ]);
  expect(listed.stdout).not.toContain(key.slice(-43));
  expect((await run('list')).stdout).toContain('gateway');

  expect(await run('revoke', id)).toEqual({ code: 0, stdout: `Revoked ${id}.\n`, stderr: '' });
  expect(await activeApiKeys(servers.postgres.pool)).toEqual([]);
  expect(await run('list', '--active')).toMatchObject({ code: 0, stdout: '(no rows)\n' });
  const unknown = '00000000-0000-4000-8000-000000000000';
  expect(await run('revoke', unknown, '--json')).toMatchObject({
    code: 1,
    stdout: `${JSON.stringify({ id: unknown, revoked: false })}\n`,
  });
});

it.each([
  [['create', '--scope', 'admin'], "required option '--name <name>' not specified"],
  [['create', '--name', 'a'], "required option '--scope <scopes...>' not specified"],
  [['create', '--name', 'a', '--scope', 'root'], 'Allowed choices are decide, read, admin.'],
  [['create', '--name', '', '--scope', 'read'], 'It must be a text of 1 to 128 bytes.'],
  [['create', '--name', 'a', '--scope', 'read', '--expires-in', 'soon'], 'It must be a number of minutes'],
  [['revoke', 'sw_x'], 'Option "id" must be a UUID, got "(hidden)"\n'],
])('%j ends with 2 and says what is wrong', async (args, message) => {
  expect(await run(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) as string });
});
