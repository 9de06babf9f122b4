import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { activeApiKeys, listChanges, parseKey, secretMatches } from '@spillway/db';
import { expect, it, onTestFinished } from 'vitest';
import { type Ended, spillway, useServers } from '../../test/spillway.ts';
import { parseLifetime } from './key.ts';

it.each([
  ['30m', 1_800_000],
  ['12h', 43_200_000],
  ['90d', 7_776_000_000],
  ['3650d', 315_360_000_000],
])('reads %s', (text, ms) => {
  expect(parseLifetime(text)).toBe(ms);
});

it.each(['', '90', '0d', '3651d', '-1d', '1.5d', '1w', '1 d', '99999999m'])('refuses %j', (text) => {
  expect(() => parseLifetime(text)).toThrow('It must be a number of minutes, hours or days');
});

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

it('writes the key to a new file that only its owner can read, and nothing of it to the output', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'spillway-key-'));
  onTestFinished(async () => rm(folder, { recursive: true }));
  const file = path.join(folder, 'key');
  const create = async (): Promise<Ended> => run('create', '--name', 'pod', '--scope', 'read', '--output', file);
  const { code, stdout, stderr } = await create();
  const key = (await readFile(file, 'utf8')).trimEnd();
  expect({ code, stdout }).toEqual({ code: 0, stdout: `Wrote the key of pod to ${file}.\n` });
  expect(parseKey(key)).toBeDefined();
  expect(`${stdout}${stderr}`).not.toContain(key.slice(-43));
  expect(((await stat(file)).mode & 0o777).toString(8)).toBe('600');

  const before = (await activeApiKeys(servers.postgres.pool)).length;
  expect(await create()).toMatchObject({ code: 2, stderr: expect.stringContaining('EEXIST') as string });
  expect(await activeApiKeys(servers.postgres.pool)).toHaveLength(before);
});

it('leaves no file behind when no key could be made', async () => {
  const file = path.join(tmpdir(), `spillway-key-${process.pid}`);
  const args = ['key', 'create', '--name', 'pod', '--scope', 'read', '--output', file];
  const { code } = await spillway(args, { DATABASE_URL: 'postgres://127.0.0.1:1/none' });
  expect(code).toBe(5);
  await expect(stat(file)).rejects.toMatchObject({ code: 'ENOENT' });
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
  const { rows } = await listChanges(servers.postgres.pool, { object: id });
  expect(rows.map(({ actor, action }) => [actor, action])).toEqual([
    [expect.stringMatching(/^cli:.+@.+$/u), 'revoke_key'],
    [expect.stringMatching(/^cli:.+@.+$/u), 'create_key'],
  ]);
  expect(JSON.stringify(rows)).not.toContain(key.slice(-43));
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
  [
    ['create', '--name', 'a', '--scope', 'root'],
    'Allowed choices are decide, report, read, metrics, operate, maintain, admin.',
  ],
  [['create', '--name', '', '--scope', 'read'], 'It must be a string of 1 to 128 bytes.'],
  [['create', '--name', 'a', '--scope', 'read', '--expires-in', 'soon'], 'It must be a number of minutes'],
  [['revoke', 'sw_x'], 'Option "id" must be a UUID, got "(hidden)"\n'],
])('%j ends with 2 and says what is wrong', async (args, message) => {
  expect(await run(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) as string });
});
