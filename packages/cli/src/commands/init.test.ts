import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { type Ended, spillway } from '../../test/spillway.ts';

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'spillway-init-'));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

/** Without any variable: no server is needed. */
const init = async (...args: string[]): Promise<Ended> => spillway(['init', ...args]);

const files: readonly (readonly [string, string])[] = [
  ['supabase', 'supabase/functions/_shared/rate-limit-middleware.ts'],
  ['supabase', 'supabase/functions/_shared/circuit-breaker-enhanced.ts'],
  ['supabase', 'supabase/spillway-cron.sql'],
  ['hono', 'server.mjs'],
  ['express', 'server.mjs'],
  ['fastify', 'server.mjs'],
];

it.each(files)('init %s writes %s with the version of this package, and says what to do next', async (start, file) => {
  const into = await folder();
  const { code, stdout, stderr } = await init(start, '--into', into);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain(`Wrote ${join(into, file)}\n`);
  expect(stdout).toMatch(/\nNext:\n {2}\S/u);
  expect(stdout).not.toContain('VERSION');
  expect(await readFile(join(into, file), 'utf8')).not.toContain('VERSION');
});

it.each(files)('init %s overwrites no %s, writes nothing beside it, and names it', async (start, file) => {
  const into = await folder();
  const path = join(into, file);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, 'mine');
  const { code, stderr } = await init(start, '--into', into);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(`${path} exists already`) });
  expect(await readFile(path, 'utf8')).toBe('mine');
  const found = (await readdir(into, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  expect(found).toHaveLength(1);
});

it('writes through no link that leads nowhere yet, and says which file cannot be written', async () => {
  const into = await folder();
  await symlink(join(into, 'elsewhere'), join(into, 'server.mjs'));
  expect(await init('hono', '--into', into)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('server.mjs exists'),
  });
  await writeFile(join(into, 'supabase'), 'a file');
  const { code, stderr } = await init('supabase', '--into', into, '--json');
  expect(JSON.parse(stderr)).toMatchObject({ error: expect.stringContaining('cannot be written'), exitCode: code });
  expect(await readdir(into)).toEqual(['server.mjs', 'supabase']);
});

it('shows all with --dry-run and writes nothing', async () => {
  const into = await folder();
  const { code, stdout } = await init('supabase', '--into', into, '--dry-run');
  expect(code).toBe(0);
  for (const [, file] of files.slice(0, 3)) expect(stdout).toContain(`--- ${join(into, file)}\n`);
  expect(stdout).toContain("SELECT cron.schedule('cleanup-rate-limits', '0 3 * * *'");
  expect(await readdir(into)).toEqual([]);
});

it('names the starts that there are when it is asked for another', async () => {
  expect(await init('rails')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('supabase, hono, express, fastify'),
  });
});
