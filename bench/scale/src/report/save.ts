import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { reportHtml } from './html.ts';
import { reportMarkdown } from './markdown.ts';
import type { Report } from './report.ts';

/** Writes the report's files into a directory, which is made if need be. */
export async function saveReport(report: Report, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const files: Readonly<Record<string, string>> = {
    'report.html': reportHtml(report),
    'report.json': `${JSON.stringify(report)}\n`,
    'report.md': reportMarkdown(report),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(directory, name), text);
}
