import { markdownTable } from '../figures/index.ts';
import type { Size } from './measure.ts';

/** What each entry and each peer takes. */
export type Sizes = Readonly<Record<string, Size>>;

/** An entry may grow by so much before somebody has to say that it may. */
export const TOLERANCE = 0.03;

/** What has grown, or was never measured; one sentence for each. */
export function problemsOf(kept: Sizes, measured: Sizes, entries: readonly string[]): string[] {
  return entries.flatMap((name) => {
    const [before, now] = [kept[name], measured[name]];
    if (before === undefined || now === undefined) return [`${name} has no limit in bench/sizes.json`];
    const grown = (['minified', 'compressed'] as const)
      .filter((figure) => now[figure] > before[figure] * (1 + TOLERANCE))
      .map((figure) => `${name}, ${figure}: ${before[figure]} → ${now[figure]} bytes, more than ${TOLERANCE * 100} %`);
    if (now.packages > before.packages) grown.push(`${name}: ${before.packages} → ${now.packages} packages`);
    return grown;
  });
}

function kilobytes(bytes: number): string {
  return (bytes / 1_000).toFixed(bytes < 10_000 ? 1 : 0);
}

/** The table of docs/compare.md. */
export function tableOf(sizes: Sizes): string {
  return markdownTable(
    [
      ['all that it exports', 'left'],
      ['minified, kB', 'right'],
      ['with Brotli, kB', 'right'],
      ['packages', 'right'],
    ],
    Object.entries(sizes).map(([name, { minified, compressed, packages }]) => [
      name.startsWith('@spillway/') ? `\`${name}\`` : name,
      kilobytes(minified),
      kilobytes(compressed),
      String(packages),
    ]),
  );
}
