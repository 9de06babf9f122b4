/** A column: its heading, and whether it holds numbers. */
export type Column = readonly [heading: string, align: 'left' | 'right'];

/** A Markdown table. */
export function markdownTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  return [
    line(columns.map(([heading]) => heading)),
    line(columns.map(([, align]) => (align === 'left' ? '---' : '---:'))),
    ...rows.map(line),
  ].join('\n');
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
