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
