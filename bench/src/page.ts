import { decisionNumber, decisionOf } from './decisions.ts';
import { barChart, markdownTable } from './figures.ts';
import { conditionsText, type Run } from './results.ts';
import type { Goal, Table } from './section.ts';

/** The text of bench/README.md: the promises of all sections first, then each section's tables. */
export function page(runs: ReadonlyMap<string, Run>): string {
  const sections = [...runs].map(([name, run]) => sectionText(name, run));
  return `# Benchmarks

\`npx pnpm@12 bench\` measures all sections and writes this page, \`npx pnpm@12 bench NAME…\` only those named; with \`--quick\`
it only shows what a short round gives, and keeps nothing. Lines of one table come from one run on one machine, contenders
taking turns. Machines differ and are noisy: the ratios say more than the figures. \`npx pnpm@12 bench:compare\` says what
became worse since the last commit, beyond what noise explains, and which goals were lowered or dropped. What a goal is isn't
what was reached: where it isn't met, the decision beside it says why.

${goalTable(runs)}

${sections.join('\n\n')}
`;
}

/** The name of a table's chart file. */
export function chartName(section: string, { title }: Table): string {
  return `${section}-${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.svg`;
}

/** Whether a promise was kept. */
export function isMet({ measured, bound, better }: Goal): boolean {
  return better === 'more' ? measured >= bound : measured <= bound;
}

function goalTable(runs: ReadonlyMap<string, Run>): string {
  const rows = [...runs].flatMap(([section, { title, goals }]) =>
    goals.map((goal) => [
      title,
      goal.name,
      quantity(goal.measured, goal.unit),
      `${goal.better === 'more' ? 'at least' : 'at most'} ${quantity(goal.bound, goal.unit)}`,
      isMet(goal) ? 'yes' : `**no**: ${decisionLink(section, goal)}`,
    ]),
  );
  return markdownTable(
    [
      ['section', 'left'],
      ['what', 'left'],
      ['measured', 'right'],
      ['goal', 'right'],
      ['met', 'left'],
    ],
    rows,
  );
}

function decisionLink(section: string, { name }: Goal): string {
  const file = decisionOf(section, name);
  return `[ADR ${decisionNumber(file)}](../docs/adr/${file})`;
}

function quantity(value: number, unit: string): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toLocaleString('en', { maximumFractionDigits: digits })}${unit.startsWith('/') || unit.length < 2 ? '' : ' '}${unit}`;
}

function sectionText(name: string, run: Run): string {
  const { title, date, machine, tookSeconds, conditions, tables } = run;
  const took = tookSeconds === undefined ? '' : `, took ${Math.round(tookSeconds)} s`;
  const about = `${date}, ${machine}${took}. ${conditionsText(conditions)}`;
  return [`## ${title}`, about, ...tables.map((table) => tableText(name, table))].join('\n\n');
}

function tableText(section: string, table: Table): string {
  const { title, intro, columns, rows, notes, chart } = table;
  const cells = rows.map((row) =>
    row.map((cell, index) => {
      if (typeof cell === 'string') return cell;
      const { digits = 0, unit = '' } = columns[index] ?? {};
      return `${cell.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })}${unit}`;
    }),
  );
  const head = columns.map(({ heading, digits }): [string, 'left' | 'right'] => [
    heading,
    digits === undefined ? 'left' : 'right',
  ]);
  return [
    `### ${title}`,
    intro,
    markdownTable(head, cells),
    ...(chart === undefined ? [] : [`![${title}](charts/${chartName(section, table)})`]),
    ...(notes === undefined ? [] : [notes]),
  ].join('\n\n');
}

/** A table's chart as SVG: a bar for each row, the first one set apart. Undefined when the table wants none. */
export function chartOf({ title, columns, rows, chart }: Table): string | undefined {
  if (chart === undefined) return undefined;
  const { label, value, scale = 'linear' } = chart;
  return barChart({
    title: `${title}: ${columns[value]?.heading ?? ''}`,
    bars: rows.flatMap((row) => {
      const number = row[value];
      return typeof number === 'number' ? [{ label: String(row[label]).replaceAll('`', ''), value: number }] : [];
    }),
    digits: columns[value]?.digits ?? 0,
    scale,
  });
}
