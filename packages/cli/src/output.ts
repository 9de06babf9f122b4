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
    failure: (value) => stderr.write(`${json ? JSON.stringify(value) : value.error}\n`),
  };
}

/** Rows as a table under the columns that they have, or a sentence when there are none. */
export function table(rows: readonly Readonly<Record<string, unknown>>[], columns?: readonly string[]): string {
  const head = [...(columns ?? Object.keys(rows[0] ?? {}))];
  if (rows.length === 0) return '(no rows)';
  const drawn = new Table({ head, style: { head: [], border: [] } });
  for (const row of rows) drawn.push(head.map((name) => cell(row[name])));
  return drawn.toString();
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'string' ? value : JSON.stringify(value);
}
