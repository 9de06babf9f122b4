import { hostname, userInfo } from 'node:os';
import type { Environment } from '@spillway/runtime';
import type { WorkerLogger } from '@spillway/worker';

/** What commands work with. */
export interface CliContext {
  readonly env: Environment;
  readonly output: Output;
  /** Aborted when the user wants the command to end. */
  readonly signal: AbortSignal;
  /** Sets what the process ends with. @default 0 */
  readonly end: (code: ExitCode) => void;
  /** Becomes the worker: never comes back but by signals. */
  readonly runWorker: () => Promise<void>;
}

/** Who changes something at a command line, as the trail has it: `cli:<user>@<host>`. */
export function actor(): string {
  return `cli:${userName()}@${hostname()}`;
}

/** A container's user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

/**
 * What the process ends with:
 * - `ok` 0: done.
 * - `failed` 1: failed.
 * - `usage` 2: the command line or a variable is wrong; nothing was done.
 * - `partial` 3: done in part, or another process is doing it; run it again.
 * - `unhealthy` 4: `doctor` found something to change, or `audit reconcile` something missing.
 * - `unavailable` 5: Redis or Postgres can't be reached.
 */
export const exitCodes = { ok: 0, failed: 1, usage: 2, partial: 3, unhealthy: 4, unavailable: 5 } as const;

/** One of the codes. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** They as `--help` tells them. */
export const exitCodeHelp = `
Exit codes:
  0  done
  1  failed
  2  the command line or a variable is wrong; nothing was done
  3  done in part, or another process is running it: run the command again
  4  doctor found something to change, or reconcile something missing
  5  Redis or Postgres cannot be reached`;

/** What goes wrong is in the command's report. */
export const silentLogger: WorkerLogger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

import Table from 'cli-table3';

/** Where text goes; a stream of Node's fits. */
export interface Writer {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** Where and how to speak. */
export interface OutputOptions {
  readonly stdout: Writer;
  readonly stderr: Writer;
  /** JSON for programs instead of tables for people. */
  readonly json: boolean;
}

/** How commands speak. */
export interface Output extends OutputOptions {
  /** The result, on stdout. Called once a command, unless the command is a stream: then once a line. */
  result(value: object, people: string): void;
  /** What went wrong, on stderr. */
  failure(value: { readonly error: string; readonly exitCode: number }): void;
}

/** Speaks to these. */
export function createOutput({ stdout, stderr, json }: OutputOptions): Output {
  return {
    stdout,
    stderr,
    json,
    result: (value, people) => stdout.write(`${json ? JSON.stringify(value) : people}\n`),
    failure: (value) =>
      stderr.write(`${json ? JSON.stringify(value) : value.error.split('\n').map(printable).join('\n')}\n`),
  };
}

/**
 * Text of others (subjects, actions, errors) as a terminal may show it: control and format characters, which could clear the
 * screen, forge a line or write the clipboard, are shown by their number: `\u{1b}`.
 */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** A column is at most so wide; longer text is wrapped at its words. */
const MAX_COLUMN_WIDTH = 72;

/** Rows as a table under the columns that they have, or a sentence when there are none. */
export function table(rows: readonly Readonly<Record<string, unknown>>[], columns?: readonly string[]): string {
  const head = [...(columns ?? Object.keys(rows[0] ?? {}))];
  if (rows.length === 0) return '(no rows)';
  const cells = rows.map((row) => head.map((name) => cell(row[name])));
  const widest = head.map((_, column) => Math.max(...cells.map((texts) => texts[column]?.length ?? 0)));
  const drawn = new Table({
    head,
    colWidths: widest.map((width) => (width > MAX_COLUMN_WIDTH ? MAX_COLUMN_WIDTH : null)),
    wordWrap: true,
    style: { head: [], border: [] },
  });
  drawn.push(...cells);
  return drawn.toString();
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (value instanceof Date) return value.toISOString();
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}
