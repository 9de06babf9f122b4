import { access, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Argument, Command } from '@commander-js/extra-typings';
import { makeFolder } from '@spillway/runtime';
import { z } from 'zod';
import { type CliContext, printable } from '../cli-context.ts';

const { version } = z.object({ version: z.string() }).parse(createRequire(import.meta.url)('../../package.json'));

/** A file that `spillway init` would write is there already, or can't be written. Nothing that was there is changed. */
export class InitError extends Error {
  readonly code: 'file_exists' | 'not_writable';
  override readonly name = 'InitError';
  /** The file, as it was to be written. */
  readonly file: string;

  constructor(file: string, code: InitError['code'], cause?: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(
      code === 'file_exists'
        ? `${file} exists already, and no file is ever overwritten: move it, or choose another folder with --into`
        : `${file} cannot be written: ${why}`,
      { cause },
    );
    this.file = file;
    this.code = code;
  }
}

interface Start {
  /** Where each template goes. */
  readonly files: Readonly<Record<string, string>>;
  /** What to do then. VERSION is this package's. */
  readonly next: readonly string[];
}

const node = (framework: string, packages: string): Start => ({
  files: { [`${framework}/server.mjs`]: 'server.mjs' },
  next: [
    `npm install @spillway/limiter@VERSION ioredis ${packages}`,
    'REDIS_URL=redis://127.0.0.1:6379 node server.mjs',
  ],
});

const starts = {
  supabase: {
    files: {
      'supabase/rate-limit-middleware.ts': 'supabase/functions/_shared/rate-limit-middleware.ts',
      'supabase/circuit-breaker-enhanced.ts': 'supabase/functions/_shared/circuit-breaker-enhanced.ts',
      'supabase/spillway-cron.sql': 'supabase/spillway-cron.sql',
    },
    next: [
      'supabase secrets set REDIS_URL=rediss://…',
      'spillway migrate, with DATABASE_URL of the project',
      'put address and key into Vault, then run supabase/spillway-cron.sql: its first lines say how',
    ],
  },
  hono: node('hono', 'hono @hono/node-server'),
  express: node('express', 'express'),
  fastify: node('fastify', 'fastify'),
} as const satisfies Readonly<Record<string, Start>>;

const names = ['supabase', 'hono', 'express', 'fastify'] as const;

/** `spillway init`. Needs no server and no variable. */
export function initCommand({
  output,
}: CliContext): Command<[(typeof names)[number]], { into: string; dryRun?: true | undefined }> {
  return new Command('init')
    .description('write a working program to start from; never overwrites a file')
    .addArgument(new Argument('<start>', 'what to begin with').choices(names))
    .option('--into <folder>', 'where to write', '.')
    .option('--dry-run', 'show the files and write none')
    .addHelpText('after', '\nNeeds no server. supabase: shared modules for edge functions, and the cron jobs in SQL.')
    .action(async (name, { into, dryRun = false }) => {
      const { files: places, next }: Start = starts[name];
      const files = await Promise.all(
        Object.entries(places).map(async ([template, path]) => ({
          path: join(into, path),
          content: (await readTemplate(template)).replaceAll('@VERSION', `@${version}`),
        })),
      );
      for (const { path } of files) await refuseExisting(path);
      if (!dryRun) {
        for (const { path } of files) await makeFolderOf(path);
        for (const { path, content } of files) await writeNew(path, content);
      }
      const then = next.map((step) => step.replaceAll('VERSION', version));
      const shown = files.map(({ path, content }) =>
        dryRun ? `--- ${printable(path)}\n${content}` : `Wrote ${printable(path)}`,
      );
      output.result(
        { written: !dryRun, files, next: then },
        [...shown, 'Next:', ...then.map((step) => `  ${step}`)].join('\n'),
      );
    });
}

/** Templates lie beside the sources and beside the build, with an ending by which no tool takes them for a program of ours. */
async function readTemplate(name: string): Promise<string> {
  return readFile(new URL(`../../templates/${name}.txt`, import.meta.url), 'utf8');
}

/** Looks at all before the first is written, so that as a rule either all are written or none. */
async function refuseExisting(path: string): Promise<void> {
  const found = await access(path).then(
    () => true,
    () => false,
  );
  if (found) throw new InitError(path, 'file_exists');
}

async function makeFolderOf(path: string): Promise<void> {
  try {
    await makeFolder(dirname(path));
  } catch (error) {
    throw new InitError(path, 'not_writable', error);
  }
}

/** Creates the file and never follows what is there by now, a dangling link included. */
async function writeNew(path: string, content: string): Promise<void> {
  try {
    await writeFile(path, content, { flag: 'wx' });
  } catch (error) {
    const exists = error instanceof Error && Reflect.get(error, 'code') === 'EEXIST';
    throw new InitError(path, exists ? 'file_exists' : 'not_writable', error);
  }
}
