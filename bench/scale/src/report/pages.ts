import { mkdir, writeFile } from 'node:fs/promises';
import { markdownTable } from '@spillway/bench/figures';
import type { Check } from '../verify/capacity.ts';
import { reportCharts } from './charts.ts';
import type { Report } from './report.ts';
import {
  capacityTable,
  checksTable,
  circumstances,
  headline,
  introText,
  latencyTable,
  latencyText,
  ledgerText,
  peakText,
  type ReportTable,
  usageTable,
  verdictText,
} from './tables.ts';

const style = `
body { font: 15px/1.5 system-ui, sans-serif; color: #1e293b; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.87rem; }
th, td { border-bottom: 1px solid #e2e8f0; padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
.right { text-align: right; } .pass { color: #15803d; } .fail { color: #be123c; font-weight: bold; }
svg { width: 100%; min-width: 40rem; height: auto; margin: 0.8rem 0; }
.wide { overflow-x: auto; } .verdict { font-size: 1.05rem; font-weight: bold; }
@media (max-width: 40rem) { th, td { padding: 0.3rem 0.35rem; } }
`;

/** The report as one HTML page that needs nothing from elsewhere: the charts are in it. */
function reportHtml(report: Report): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(headline(report))}</title>
<style>${style}</style>
<h1>${escaped(headline(report))}</h1>
<p class="verdict ${report.passed ? 'pass' : 'fail'}">${escaped(verdictText(report))}</p>
<p>${escaped(introText(report))}</p>
<p>${escaped(circumstances(report))}</p>
<h2>Capacity</h2>
${htmlTable(capacityTable(report))}
<p>${escaped(peakText(report))}</p>
<h2>What was verified</h2>
<p>${escaped(ledgerText)}</p>
${htmlTable(checksTable(report))}
${report.checks.map(htmlDetails).join('')}
<h2>Over time</h2>
${reportCharts(report)
  .map((chart) => `<div class="wide">${chart}</div>`)
  .join('')}
<h2>Latency</h2>
<p>${escaped(latencyText)}</p>
${htmlTable(latencyTable(report))}
<h2>What it took</h2>
${htmlTable(usageTable(report))}
</html>
`;
}

function textTable({ columns, rows }: ReportTable): string {
  return markdownTable(columns, rows);
}

function htmlTable({ columns, rows }: ReportTable): string {
  const head = columns.map(([heading, align]) => `<th class="${align}">${escaped(heading)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map((text, index) => cell(text, columns[index]?.[1])).join('')}</tr>`);
  return `<div class="wide"><table>\n<tr>${head}</tr>\n${body.join('\n')}\n</table></div>`;
}

function cell(text: string, align = 'left'): string {
  const verdict = text === 'pass' || text === 'FAIL' ? ` ${text.toLowerCase()}` : '';
  return `<td class="${align}${verdict}">${escaped(text)}</td>`;
}

function htmlDetails({ name, passed, details = [] }: Check): string {
  if (passed || details.length === 0) return '';
  return `<p>${escaped(name)}:</p>\n<ul>${details.map((detail) => `<li>${escaped(detail)}</li>`).join('')}</ul>\n`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** The report as Markdown: verdicts first, figures after them. */
export function reportMarkdown(report: Report): string {
  return `# ${headline(report)}

**${verdictText(report)}**

${introText(report)}

${circumstances(report)}

## Capacity

${textTable(capacityTable(report))}

${peakText(report)}

## What was verified

${ledgerText}

${textTable(checksTable(report))}
${report.checks.map(markdownDetails).join('')}
## Latency

${latencyText}

${textTable(latencyTable(report))}

## What it took

${textTable(usageTable(report))}
`;
}

function markdownDetails({ name, passed, details = [] }: Check): string {
  return passed || details.length === 0 ? '' : `\n${name}:\n\n${details.map((detail) => `- ${detail}`).join('\n')}\n`;
}

import path from 'node:path';

/** Writes the report's files into a directory, which is made if need be. */
export async function saveReport(report: Report, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  // Charts and data of one kind are enough.
  if (report.kind !== 'run') return writeFile(path.join(directory, `${report.kind}.md`), reportMarkdown(report));
  const files: Readonly<Record<string, string>> = {
    'report.html': reportHtml(report),
    'report.json': `${JSON.stringify(report)}\n`,
    'report.md': reportMarkdown(report),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(directory, name), text);
}
