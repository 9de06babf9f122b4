import type { Locator, Page } from 'playwright-core';

/** Figures come every two seconds. */
export const soon = { timeout: 10_000, interval: 50 };

/** The cells of the row that begins with this, as a person reads them. */
export async function cells(page: Page, table: string, row: string): Promise<readonly string[]> {
  const found = page.getByRole('table', { name: table }).getByRole('row').filter({ hasText: row });
  return (await found.getByRole('cell').allInnerTexts()).map((text) => text.replaceAll(/\s+/gu, ' ').trim());
}

/** A panel by its title. */
export const panel = (page: Page, name: string): Locator => page.getByRole('region', { name, exact: true });

/** A figure of the strip on top. */
export const beat = (page: Page, name: string): Promise<string> =>
  page
    .locator('.summary-strip div', { has: page.getByText(name, { exact: true }) })
    .locator('dd')
    .first()
    .innerText();
