import { readFileSync } from 'node:fs';
import { Marked } from 'marked';

const source = new URL('../../docs/operations.md', import.meta.url);
const title = '## Runbooks\n';

/** The section of docs/operations.md on what to do about each alert, as Markdown. */
export function runbooksText(): string {
  const text = readFileSync(source, 'utf8');
  const begin = text.indexOf(title);
  if (begin === -1) throw new Error(`${source.pathname} has no "${title.trim()}"`);
  const end = text.indexOf('\n## ', begin + title.length);
  return text.slice(begin, end === -1 ? undefined : end);
}

/** The names that a heading of the third level can be linked by: its text. */
export function runbookNames(): readonly string[] {
  return [...runbooksText().matchAll(/^### (.+)$/gmu)].map(([, name = '']) => name);
}

/** The same as HTML. Each heading has its text as its id, as GitHub has it for names such as `audit_lag`. */
export function runbooksHtml(): string {
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, text }) {
        const id = text.toLowerCase().replaceAll(' ', '-');
        return `<h${depth} id="${id}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
    },
  });
  return marked.parse(runbooksText(), { async: false });
}
