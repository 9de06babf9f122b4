import { markdownTable } from '@spillway/bench/figures';
import type { Check } from '../verify/check.ts';
import type { Report } from './report.ts';
import type { ReportTable } from './table.ts';
import { capacityTable, checksTable, latencyTable, usageTable } from './tables.ts';
import { circumstances, headline, introText, latencyText, ledgerText, peakText, verdictText } from './text.ts';

/** The report as Markdown: verdicts first, figures after them. */
export function reportMarkdown(report: Report): string {
  return `# ${headline(report)}

**${verdictText(report)}**

${introText}

${circumstances(report)}

## Capacity

${table(capacityTable(report))}

${peakText(report)}

## What was verified

${ledgerText}

${table(checksTable(report))}
${report.checks.map(detailsText).join('')}
## Latency

${latencyText}

${table(latencyTable(report))}

## What it took

${table(usageTable(report))}
`;
}

function table({ columns, rows }: ReportTable): string {
  return markdownTable(columns, rows);
}

function detailsText({ name, passed, details = [] }: Check): string {
  return passed || details.length === 0 ? '' : `\n${name}:\n\n${details.map((detail) => `- ${detail}`).join('\n')}\n`;
}
